"""One training run from its job to the student's folder: encode, check, plan, train, write.

Invariant: a job is a function of what decides the weights. The same job twice on the same machine writes the same
bytes, killed in between or not, and `job.out` receives a model, its tokenizer and nothing else. Only completions are
trained on. Importing this module imports no torch. Read next: `trainer.py`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lakon.backends.chat_format import encode_prompt
from lakon.backends.training.batches import Layout, block_size, plan_steps
from lakon.backends.training.card import write_card
from lakon.backends.training.checks import (
    SHOWN,
    check_end_token,
    check_masks,
    check_report_to,
    check_saved_tokenizer,
    check_template,
    check_too_long,
    read_end_token,
    show_examples,
)
from lakon.backends.training.job import HeldOutLoss, OnStep, StepLoss, TrainExample, TrainJob, TrainResult
from lakon.backends.training.loss_file import LossFile
from lakon.backends.training.tokens import EncodedExamples, encode_examples, read_encoded
from lakon.core.digest import digest
from lakon.core.errors import InputError
from lakon.core.messages import build_messages

_NOT_DECISIVE = frozenset(
    {
        *("out", "work", "threads", "attention", "micro_batch_tokens", "activation_checkpointing"),
        *("checkpoint_minutes", "keep_checkpoints", "report_to", "held_out_every", "base"),
    }
)
"""Fields of a job that checkpoints of an earlier attempt may differ in. The base may have moved; its content is in the
key of the step, which names the folder."""


def train(
    job: TrainJob,
    examples: Iterable[TrainExample],
    *,
    held_out: Mapping[str, Iterable[TrainExample]] | None = None,
    on_step: OnStep | None = None,
) -> TrainResult:
    """Fine-tune `job.base` on the examples' completions and write it to `job.out`.

    In a process group every process calls this; the first one reads `examples`. Raises `InputError` where training
    would go wrong without a word, and ValueError or OSError for a base that cannot be loaded.
    """
    import torch

    from lakon.backends.training.checkpoints import Checkpoints
    from lakon.backends.training.model import (
        choose_attention,
        choose_precision,
        load_model,
        load_tokenizer,
        quiet_libraries,
        save_model,
        save_tokenizer,
    )
    from lakon.backends.training.trainer import Feed, check_extra, fit

    started = time.perf_counter()
    torch.set_num_threads(job.threads)
    with quiet_libraries():
        check_extra(job.extra)
        check_report_to(job.report_to)
        rank, processes = _place()
        tokenizer = load_tokenizer(job.base)
        check_template(tokenizer)
        end_token = read_end_token(tokenizer)
        reader = iter(examples if rank == 0 else ())
        first = list(itertools.islice(reader, SHOWN))
        encoded = _encode_together(job, tokenizer, itertools.chain(first, reader), Path(job.work) / "tokens", rank)
        styles = {
            style: _encode_together(job, tokenizer, rows, Path(job.work) / "held-out" / style, rank)
            for style, rows in (held_out or {}).items()
        }
        check_too_long(encoded, allowed=job.too_long == "leave_out", max_length=job.max_length)
        if not encoded.rows:
            raise ValueError(
                f"found no example of at most {job.max_length} tokens among {len(encoded.too_long)}; raise max_length"
            )
        longest = max(row.n_tokens for row in encoded.rows)
        precision, attention = choose_precision(job), choose_attention(job, longest)
        model = load_model(job, precision=precision, attention=attention, processes=processes)
        check_end_token(tokenizer, model.generation_config)
        if rank == 0:
            check_masks(*_prompts_of(first, encoded, tokenizer), end_token)
            save_tokenizer(tokenizer, Path(job.work) / "tokenizer")
            check_saved_tokenizer(
                str(Path(job.work) / "tokenizer"), [example.prompt for example in first], load_tokenizer(job.base)
            )
        layout, packing = choose_layout(job, model, tokenizer, encoded, precision)
        plan = plan_steps(encoded.rows, epochs=job.epochs, batch_tokens=job.batch_tokens, seed=job.seed, layout=layout)
        micro = job.micro_batch_tokens or block_size(encoded.rows, job.batch_tokens)
        decisive = {name: value for name, value in asdict(job).items() if name not in _NOT_DECISIVE}
        fingerprint = digest([decisive, layout, precision, len(plan), len(encoded.tokens)])
        losses = LossFile(Path(job.work), writes=rank == 0)
        went_on_from = fit(
            job,
            model,
            tokenizer,
            Feed(encoded, plan, layout, micro, {style: rows for style, rows in styles.items() if rows.rows}),
            precision=precision,
            checkpoints=Checkpoints(Path(job.work) / "checkpoints", keep=job.keep_checkpoints, fingerprint=fingerprint),
            losses=losses,
            on_step=on_step,
        )
        settings: dict[str, str | int | float] = {
            "precision": precision,
            "attention": model.config._attn_implementation or attention,
            "layout": layout,
            "micro_batch_tokens": micro,
            "processes": processes,
            "went_on_from": went_on_from,
            **packing,
        }
        save_model(model, tokenizer, job, processes=processes)
        if rank == 0:
            write_card(job, n_examples=len(encoded.rows), settings=settings, versions=_versions())
    steps: list[StepLoss] = losses.steps()
    measured: list[HeldOutLoss] = losses.held_out()
    return TrainResult(
        losses=steps,
        n_steps=len(plan),
        n_tokens=steps[-1].tokens_seen if steps else 0,
        n_examples=len(encoded.rows),
        dropped=encoded.too_long,
        shown=show_examples(encoded, tokenizer),
        held_out=measured,
        seconds=time.perf_counter() - started,
        settings=settings,
        versions=_versions(),
    )


def choose_layout(
    job: TrainJob, model: Any, tokenizer: Any, encoded: EncodedExamples, precision: str
) -> tuple[Layout, dict[str, str | float]]:
    """Packed or padded, and what was found out about packing. Nothing is packed before its leakage was measured: with
    `auto` a student that leaks is padded, with `packed` it is refused."""
    import torch

    from lakon.backends.training.leakage import CannotPack, measure_leakage

    if not (job.layout == "packed" or (job.layout == "auto" and prefers_packing())) or len(encoded.rows) < 2:
        return "padded", {}
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    collate = DataCollatorForLanguageModeling(pad_token_id=tokenizer.pad_token_id, padding_free=True)
    if torch.cuda.is_available() and _place()[1] == 1:
        model.to("cuda")
    documents = encoded.ids(encoded.rows[0]), encoded.ids(encoded.rows[1])
    found: dict[str, str | float] = {}
    try:
        leakage = measure_leakage(model, documents, collate, precision)
        found["leakage"] = round(leakage.largest, 6)
        if not leakage.is_leak:
            return "packed", found
        why = (
            f"packed examples see each other in this student: its logits differ by {leakage.largest:.2g} standard"
            f" deviations between an example alone and behind another one (at most {leakage.allowed:g} is rounding)"
        )
    except CannotPack as refusal:
        why = f"this student takes no packed examples: {str(refusal)[:200]}"
    if job.layout == "packed":
        raise InputError(
            why,
            "a student whose attention and state-space layers keep packed examples apart",
            'take training.layout = "auto" or "padded", or install the kernels that its architecture needs for packing',
            where="train",
        )
    return "padded", {**found, "padded_because": why}


def prefers_packing() -> bool:
    """Whether `auto` packs where it can: on a GPU, which waits for padding as for tokens."""
    import torch

    return torch.cuda.is_available()


def _prompts_of(
    first: list[TrainExample], encoded: EncodedExamples, tokenizer: Any
) -> tuple[list[dict[str, list[int]]], list[list[int]]]:
    """The rows of the first examples as the collator gets them, and their prompts rendered anew."""
    places = [place for place, row in enumerate(encoded.rows[:SHOWN]) if row.index < len(first)]
    prompts: list[list[int]] = []
    for place in places:
        example = first[encoded.rows[place].index]
        prompts.append(encode_prompt(tokenizer, build_messages(example.prompt, example.system)))
    return [encoded.item(place) for place in places], prompts


def _encode_together(
    job: TrainJob, tokenizer: Any, examples: Iterable[TrainExample], folder: Path, rank: int
) -> EncodedExamples:
    """The first process encodes, all read what it wrote."""
    if rank == 0:
        encode_examples(examples, tokenizer, max_length=job.max_length, folder=folder)
    _wait_for_all()
    return read_encoded(folder)


def _place() -> tuple[int, int]:
    """This process's rank, and how many there are."""
    import torch.distributed as dist

    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def _wait_for_all() -> None:
    import torch.distributed as dist

    if dist.is_initialized():
        dist.barrier()


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "trl", "accelerate")}
