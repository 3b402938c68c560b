"""Planted faults that no loss curve would tell of: each stops the training before anything is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
trl = pytest.importorskip("trl")

import orjson  # noqa: E402

from lakon.backends.chat_format import encode_prompt  # noqa: E402
from lakon.backends.training import run  # noqa: E402
from lakon.backends.training.checks import check_masks, check_template  # noqa: E402
from lakon.backends.training.job import TrainExample, TrainJob  # noqa: E402
from lakon.backends.training.tokens import IGNORED, EncodedExamples  # noqa: E402
from lakon.core.errors import InputError  # noqa: E402
from lakon.core.messages import build_messages  # noqa: E402
from lakon.miniature.student import base_path  # noqa: E402

EXAMPLES = [
    TrainExample(f"Eli has {n} pens. How many?", f"<think>\n{n}\n</think>\n\\boxed{{{n}}}") for n in range(10, 18)
]
HEADER = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
ASKS = "{% if add_generation_prompt %}<assistant>{% endif %}"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A copy of the miniature's base, to be spoilt."""
    return Path(shutil.copytree(base_path(), tmp_path / "base"))


def spoil(file: Path, **changes: Any) -> None:
    """Change what a file of settings says; None takes a setting out."""
    settings = {**orjson.loads(file.read_bytes()), **changes}
    file.write_bytes(orjson.dumps({name: value for name, value in settings.items() if value is not None}))


def spoil_weights(base: Path, spoilt: Callable[[Any], None]) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(base / "model.safetensors")
    spoilt(weights["model.embed_tokens.weight"])
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})


def refusal(base: Path, examples: list[TrainExample] = EXAMPLES, **changes: Any) -> str:
    """What training on this base is refused with; nothing is written then."""
    out = base.parent / "out"
    settings: dict[str, Any] = {"epochs": 1, "batch_tokens": 300, "max_length": 256, "warmup_steps": 0}
    job = TrainJob(base=str(base), out=str(out), work=str(base.parent / "work"), **{**settings, **changes})
    with pytest.raises(InputError) as refused:
        run.train(job, examples)
    assert not out.exists()
    fault = refused.value.fault
    assert all((fault.found, fault.expected, fault.remedy))
    return fault.found


def test_the_copy_of_the_base_itself_is_trained(base: Path) -> None:
    out = base.parent / "out"
    settings: dict[str, Any] = {"epochs": 1, "batch_tokens": 300, "max_length": 256}
    run.train(TrainJob(base=str(base), out=str(out), work=str(base.parent / "work"), **settings), EXAMPLES)
    assert (out / "model.safetensors").is_file()


# -- the end token -----------------------------------------------------------------------------------------------------


def test_a_tokenizer_without_an_end_token_is_refused(base: Path) -> None:
    spoil(base / "tokenizer_config.json", eos_token=None)
    assert refusal(base) == "the student's tokenizer has no end token"


@pytest.mark.parametrize("stops", [3, [1, 3]])
def test_an_end_token_at_which_no_server_stops_is_refused(base: Path, stops: object) -> None:
    spoil(base / "generation_config.json", eos_token_id=stops)
    assert "stops at" in refusal(base)


def test_one_of_several_end_tokens_is_enough(base: Path) -> None:
    spoil(base / "generation_config.json", eos_token_id=[2, 3])
    out = base.parent / "out"
    settings: dict[str, Any] = {"epochs": 1, "batch_tokens": 300, "max_length": 256}
    run.train(TrainJob(base=str(base), out=str(out), work=str(base.parent / "work"), **settings), EXAMPLES)
    assert orjson.loads((out / "generation_config.json").read_bytes())["eos_token_id"] == [2, 3]


# -- masks -------------------------------------------------------------------------------------------------------------


def spoil_items(monkeypatch: pytest.MonkeyPatch, spoilt: Callable[[list[int], list[int], int], None]) -> None:
    """Change ids and labels of every example between the files and the collator."""
    own = EncodedExamples.item

    def item(self: EncodedExamples, index: int) -> dict[str, list[int]]:
        made = own(self, index)
        spoilt(made["input_ids"], made["labels"], self.rows[index].n_prompt)
        return made

    monkeypatch.setattr(EncodedExamples, "item", item)


def test_a_token_of_the_prompt_that_is_trained_on_is_refused(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unmask(ids: list[int], labels: list[int], n_prompt: int) -> None:
        labels[n_prompt - 1] = ids[n_prompt - 1]

    spoil_items(monkeypatch, unmask)
    assert "a token of the prompt is trained on" in refusal(base)


def test_an_end_token_that_is_masked_or_missing_is_refused(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mask(ids: list[int], labels: list[int], n_prompt: int) -> None:
        labels[-1] = IGNORED

    def cut(ids: list[int], labels: list[int], n_prompt: int) -> None:
        ids.pop(), labels.pop()

    for fault in (mask, cut):
        with monkeypatch.context() as spoilt:
            spoil_items(spoilt, fault)
            assert "does not end with the end token" in refusal(base)


def test_an_answer_of_which_nothing_is_trained_on_is_refused() -> None:
    with pytest.raises(InputError, match="does not end with the end token"):
        check_masks([{"input_ids": [5, 6, 2], "labels": [IGNORED] * 3}], [[5]], end=2)


# -- the chat template -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "found"),
    [
        (HEADER, "has no generation part"),
        ("{{ raise_exception('only for tools') }}", "cannot render a question and an answer"),
        (
            "{% for m in messages %}{% if m['role'] == 'user' %}{{ m['content'] }}{% endif %}{% endfor %}",
            "does not write",
        ),
        ("{% for m in messages %}", "cannot render a question and an answer"),
    ],
)
def test_a_template_that_cannot_be_trained_with_is_refused(base: Path, template: str, found: str) -> None:
    spoil(base / "tokenizer_config.json", chat_template=template)
    assert found in refusal(base)


TEXT_TEMPLATES = [
    path
    for path in sorted((Path(trl.__file__).parent / "chat_templates").glob("*.jinja"))
    if not path.stem.removesuffix("_training").endswith(("idefics3", "smolvlm", "llava_next"))  # take content in parts
]


@pytest.mark.parametrize("path", TEXT_TEMPLATES, ids=lambda path: path.stem)
def test_templates_of_real_models_are_taken(path: Path) -> None:
    assert len(TEXT_TEMPLATES) > 40
    check_template(with_template(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "template",
    [
        # As Mistral's: what is asked ends with [/INST], and a space alone stands before an answer.
        "{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] }}[/INST]"
        "{% else %} {{ m['content'] + eos_token }}{% endif %}{% endfor %}",
        "{% for m in messages %}{{ m['content'] + '\\n' }}{% endfor %}",
        HEADER + ASKS,
    ],
)
def test_a_template_without_a_generation_prompt_is_taken_where_answers_have_no_header(template: str) -> None:
    check_template(with_template(template))


def with_template(template: str) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base_path())
    tokenizer.chat_template = template
    return tokenizer


# -- lengths, losses, what is served -----------------------------------------------------------------------------------


def test_over_long_examples_are_refused_where_the_study_does_not_leave_them_out(base: Path) -> None:
    long = TrainExample("How many?", "7" * 300)
    assert "1 examples are longer than 256 tokens, the first is number 8" in refusal(
        base, [*EXAMPLES, long], too_long="refuse"
    )


def test_a_base_with_a_broken_weight_is_refused_at_the_first_step(base: Path) -> None:
    def spoilt(weight: Any) -> None:
        weight[7, 3] = float("nan")

    spoil_weights(base, spoilt)
    assert refusal(base) == "the loss of the first step is nan"


def test_a_loss_far_beyond_guessing_is_refused_at_the_first_step(base: Path) -> None:
    def spoilt(weight: Any) -> None:
        weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)) * 30)

    spoil_weights(base, spoilt)
    assert "the loss of the first step is" in refusal(base)


def test_a_tokenizer_that_is_saved_as_another_one_is_refused_before_training(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lakon.backends.training import model

    own = model.save_tokenizer

    def save(tokenizer: Any, folder: Path) -> None:
        own(tokenizer, folder)
        spoil(folder / "tokenizer_config.json", chat_template=HEADER + ASKS)

    steps: list[int] = []
    monkeypatch.setattr(model, "save_tokenizer", save)
    monkeypatch.setattr("lakon.backends.training.trainer.fit", lambda *_, **__: steps.append(1))
    assert "others where the student is sampled" in refusal(base)
    assert not steps


def test_training_sampling_and_serving_render_the_same_tokens(base: Path) -> None:
    """One conversation through all three."""
    from transformers import AutoTokenizer

    spoil(base / "tokenizer_config.json", chat_template=HEADER + ASKS)
    out = base.parent / "out"
    settings: dict[str, Any] = {"epochs": 1, "batch_tokens": 300, "max_length": 256}
    run.train(TrainJob(base=str(base), out=str(out), work=str(base.parent / "work"), **settings), EXAMPLES)
    trained_with, saved = (AutoTokenizer.from_pretrained(path) for path in (base, out))
    messages = build_messages(EXAMPLES[0].prompt)
    ids = encode_prompt(trained_with, messages)
    turns = [message._asdict() for message in messages]
    assert encode_prompt(saved, messages) == ids
    assert saved.apply_chat_template(turns, add_generation_prompt=True, return_dict=False) == ids
    assert saved.decode(ids).endswith("<assistant>")


@pytest.mark.parametrize("opened", ["<think>", "<think>\n"])
def test_a_template_that_opens_the_thinking_is_not_followed_by_another_opening(base: Path, opened: str) -> None:
    """As the templates of reasoning models do: R1's distilled students, Nemotron 3, Qwen 3.5."""
    asks = "{% if add_generation_prompt %}<assistant>" + opened + "{% endif %}"
    spoil(base / "tokenizer_config.json", chat_template=HEADER + asks)
    out, work = base.parent / "out", base.parent / "work"
    settings: dict[str, Any] = {"epochs": 1, "batch_tokens": 300, "max_length": 256}
    answer = TrainExample("How many?", "12")
    result = run.train(TrainJob(base=str(base), out=str(out), work=str(work), **settings), [EXAMPLES[0], answer])
    thought, bare = (shown.masked + shown.trained for shown in result.shown)
    assert thought.endswith("<assistant><think>\n10\n</think>\n\\boxed{10}<eos>")
    assert bare.endswith(f"<assistant>{opened}12<eos>")
