"""What must be true before the first step, because nothing would tell of it afterwards: a loss curve looks healthy over
a prompt that is trained on, or an end token that no server stops at.

Each check raises `InputError`; what was looked at goes into the artifact as `ShownExample`.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterable, Sequence
from typing import Any

from lakon.backends.chat_format import encode_prompt
from lakon.backends.training.job import ShownExample
from lakon.backends.training.tokens import IGNORED, EncodedExamples
from lakon.core.errors import InputError
from lakon.core.messages import build_messages

SHOWN = 8
"""Examples that are written out."""
_MARK = "the assistant's text"
_WHERE = "train"


def check_report_to(names: Iterable[str]) -> None:
    """Refuse to send losses by a package that is not installed."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise InputError(
                f"run.training.report_to names {name}, and the package {name} is not installed",
                "a package that takes loss curves",
                f"install it: pip install {name}; or take it out: losses are kept in the store anyway",
                where=_WHERE,
            )


def read_end_token(tokenizer: Any) -> int:
    """The id of the token that training puts at the end of each answer. Refuses a tokenizer that has none."""
    if tokenizer.eos_token_id is not None:
        return tokenizer.eos_token_id
    raise InputError(
        "the student's tokenizer has no end token",
        "one that training can put at the end of each answer, so that the student learns to stop",
        "state eos_token in the base's tokenizer_config.json",
        where=_WHERE,
    )


def check_end_token(tokenizer: Any, generation_config: Any) -> None:
    """Refuse an end token that is not where a server stops."""
    end, stops = read_end_token(tokenizer), end_ids(generation_config)
    if stops and end not in stops:
        raise InputError(
            f"training would end answers with {tokenizer.eos_token!r} (token {end}), and the base's generation config"
            f" stops at {', '.join(map(str, sorted(stops)))}",
            "one end token for training and for whatever samples the student",
            "make eos_token in tokenizer_config.json and eos_token_id in generation_config.json agree",
            where=_WHERE,
        )


def end_ids(generation_config: Any) -> set[int]:
    """The token ids at which a server that reads this generation config stops."""
    stated = getattr(generation_config, "eos_token_id", None)
    if stated is None:
        return set()
    return set(stated) if isinstance(stated, list) else {stated}


def check_template(tokenizer: Any) -> None:
    """Refuse a chat template that writes a header before an answer but not when an answer is asked for: the student
    would be trained without it and asked without it, and a chat with two turns would have it."""
    if not getattr(tokenizer, "chat_template", None):
        return
    question = [{"role": "user", "content": "a question"}]
    answered = [*question, {"role": "assistant", "content": _MARK}]
    try:
        asked = tokenizer.apply_chat_template(question, add_generation_prompt=True, tokenize=False)
        bare = tokenizer.apply_chat_template(question, add_generation_prompt=False, tokenize=False)
        whole = tokenizer.apply_chat_template(answered, add_generation_prompt=False, tokenize=False)
    except Exception as error:  # a template is a program of somebody else, and may raise anything
        raise InputError(
            f"the base's chat template cannot render a question and an answer: {str(error)[:200]}",
            "a template that takes the roles user and assistant",
            "give the base another chat_template.jinja",
            where=_WHERE,
        ) from error
    header, marked, _ = whole.partition(_MARK)
    if not marked:
        raise InputError(
            "the base's chat template does not write what the assistant says",
            "a template that renders every message",
            "give the base another chat_template.jinja",
            where=_WHERE,
        )
    extra = header.removeprefix(bare)
    # A space alone is no header: Mistral's templates write one before each answer.
    if asked == bare and extra.strip():
        raise InputError(
            f"the base's chat template has no generation part: before an answer it writes"
            f" {extra[-80:]!r}, and asked for one it writes nothing",
            "a template that writes the same when add_generation_prompt is set",
            "add {% if add_generation_prompt %} and that text to the end of chat_template.jinja",
            where=_WHERE,
        )


def check_too_long(encoded: EncodedExamples, *, allowed: bool, max_length: int) -> None:
    """Refuse examples over the longest length where the study does not allow that they are left out."""
    if encoded.too_long and not allowed:
        raise InputError(
            f"{len(encoded.too_long):,} examples are longer than {max_length:,} tokens, the first is number"
            f" {encoded.too_long[0]}",
            'none, since training.too_long = "refuse"',
            'raise training.max_length, or let them be left out: training.too_long = "leave_out"',
            where=_WHERE,
        )


def show_examples(encoded: EncodedExamples, tokenizer: Any, indexes: Iterable[int] | None = None) -> list[ShownExample]:
    """The first examples, or those of `indexes`, as text: what is masked, and what is trained on."""
    chosen = range(min(SHOWN, len(encoded.rows))) if indexes is None else indexes
    shown: list[ShownExample] = []
    for index in chosen:
        item = encoded.item(index)
        ids, labels = item["input_ids"], item["labels"]
        masked = [token for token, label in zip(ids, labels, strict=True) if label == IGNORED]
        trained = [label for label in labels if label != IGNORED]
        shown.append(
            ShownExample(
                index=encoded.rows[index].index,
                masked=tokenizer.decode(masked, skip_special_tokens=False),
                trained=tokenizer.decode(trained, skip_special_tokens=False),
                n_masked=len(masked),
                n_trained=len(trained),
            )
        )
    return shown


def check_masks(items: Sequence[dict[str, list[int]]], prompts: Sequence[list[int]], end: int) -> None:
    """Refuse labels that train on a token of the prompt, train on nothing, or do not end with the end token.

    `items` are examples as the collator gets them, `prompts` the rendered prompts of the same ones, encoded anew.
    """
    for place, (item, prompt) in enumerate(zip(items, prompts, strict=True)):
        ids, labels = item["input_ids"], item["labels"]
        taught = [label for label in labels if label != IGNORED]
        if ids[: len(prompt)] != prompt or any(label != IGNORED for label in labels[: len(prompt)]):
            raise InputError(
                f"example {place}: a token of the prompt is trained on",
                "labels on the completion alone",
                "this is a fault of Lakon or of the tokenizer: report it with the base's name",
                where=_WHERE,
            )
        if not taught or taught[-1] != end or ids[-1] != end:
            raise InputError(
                f"example {place}: the answer does not end with the end token (token {end})",
                "an end token that is trained on, so that the student learns to stop",
                "this is a fault of Lakon or of the tokenizer: report it with the base's name",
                where=_WHERE,
            )


def check_saved_tokenizer(out: str, prompts: Sequence[str], trained_with: Any) -> None:
    """Refuse a student whose prompts have other token ids where it is sampled or served than where it was trained.

    `trained_with` is the tokenizer of the base; a server renders with the chat template of the student's folder.
    """
    from transformers import AutoTokenizer

    saved: Any = AutoTokenizer.from_pretrained(out)
    for prompt in prompts:
        messages = build_messages(prompt)
        trained = encode_prompt(trained_with, messages)
        served = saved.apply_chat_template(
            [message._asdict() for message in messages], add_generation_prompt=True, tokenize=True, return_dict=False
        )
        for what, ids in (("sampled", encode_prompt(saved, messages)), ("served", served)):
            if list(ids) != trained:
                raise InputError(
                    f"the prompt {prompt[:60]!r} has {len(trained)} tokens in training and {len(ids)} others where the"
                    f" student is {what}",
                    "the same token ids in training, sampling and serving",
                    "this is a fault of Lakon or of the tokenizer: report it with the base's name",
                    where=_WHERE,
                )
    if saved.eos_token_id != trained_with.eos_token_id:
        raise InputError(
            f"the student's end token is {saved.eos_token_id}, and it was trained with {trained_with.eos_token_id}",
            "one end token",
            "this is a fault of Lakon or of the tokenizer: report it with the base's name",
            where=_WHERE,
        )


def check_first_loss(loss: float, vocabulary: int) -> None:
    """Refuse to go on after a first step whose loss is no number, zero, or far beyond guessing (`ln V`)."""
    guessing = math.log(max(2, vocabulary))
    if math.isfinite(loss) and 0 < loss <= 2 * guessing:
        return
    raise InputError(
        f"the loss of the first step is {loss:.4g}",
        f"a number above 0 and not far beyond that of guessing, {guessing:.1f}",
        "look whether the base's weights are whole, and whether its vocabulary is that of its tokenizer",
        where=_WHERE,
    )
