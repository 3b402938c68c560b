"""Training: TRL's `SFTTrainer` on a real model, fed with batches planned here.

Invariant: a job is a function of its fields. The same job twice on the same machine writes the same
weights, byte for byte, and `out` receives a model and its tokenizer and nothing else. Only the completion
is trained on; a batch is bounded by its tokens, padding counted, not by its rows. Importing this module
imports no torch. Read next: `optimizers.py`.
"""

import contextlib
import math
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from lakon.backends.chat_format import encode_prompt
from lakon.core.messages import build_messages

OnStep = Callable[[int, int, float, int, float], None]
"""Told the step, of how many, its loss, the trained tokens so far, and the learning rate."""

_IGNORED = -100
_BATCH_CHARS = 4 << 20
"""Completions that are tokenised together."""


class TrainExample(NamedTuple):
    """What to learn from: after `prompt`, write `completion`; `repeats` times an epoch, in phase `phase`."""

    prompt: str
    completion: str
    phase: int = 0
    repeats: int = 1
    system: str = ""


class StepLoss(NamedTuple):
    """One optimizer step as it was: trained tokens seen up to and with it, mean loss of its tokens,
    learning rate.
    """

    step: int
    tokens_seen: int
    loss: float
    learning_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainJob:
    """Everything that decides the weights of one student."""

    base: str
    """Path or hub name of the model to start from."""
    out: str
    """Folder to write the student to."""
    examples: Iterable[TrainExample]
    """Read once: the tokens wait on the disk, so that memory does not grow with the corpus."""
    epochs: int
    """Passes over each phase; a later phase starts when all epochs of the earlier one are done."""
    batch_tokens: int
    """Upper bound of rows times longest row in a step (a single longer row still makes a step)."""
    max_length: int
    """Longer examples are dropped and reported, never cut."""
    optimizer: Literal["adamw", "muon"] = "muon"
    learning_rate: float = 1e-3
    warmup_steps: int = 10
    schedule: Literal["cosine", "constant", "linear"] = "cosine"
    min_lr_ratio: float = 0.05
    weight_decay: float = 0.05
    max_grad_norm: float = 1.0
    seed: int = 0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """`auto` takes bfloat16 autocast on a GPU that multiplies it natively, and float32 everywhere else."""
    threads: int = 1
    attention: Literal["eager", "sdpa"] = "eager"
    """Eager by default: on a CPU, the backward of sdpa took half of a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """What a finished job did."""

    losses: list[StepLoss]
    n_steps: int
    n_tokens: int
    """Trained tokens: those of completions and their end tokens, every time they were seen."""
    n_examples: int
    dropped: list[int]
    """Indexes of examples longer than `max_length`."""
    seconds: float
    precision: str
    versions: dict[str, str]


class Row(NamedTuple):
    """One example as numbers: where its tokens begin among all tokens, and how many there are."""

    start: int
    n_tokens: int
    """Prompt and completion."""
    n_prompt: int
    phase: int
    repeats: int


def train(job: TrainJob, on_step: OnStep | None = None) -> TrainResult:
    """Fine-tune `job.base` on the examples' completions and save it to `job.out`; raises ValueError
    without rows.
    """
    import torch

    started = time.perf_counter()
    torch.set_num_threads(job.threads)
    with _quiet():
        tokenizer, model = _load(job)
        rows, tokens, dropped = _encode(job, tokenizer)
        if not rows:
            raise ValueError(
                f"found no example of at most {job.max_length} tokens among {len(dropped)}; raise max_length"
            )
        batches = plan_batches(rows, epochs=job.epochs, batch_tokens=job.batch_tokens, seed=job.seed)
        precision = _precision(job, model)
        losses = _fit(job, model, tokenizer, _Examples(rows, tokens), batches, precision, on_step)
        model.save_pretrained(job.out)
        tokenizer.save_pretrained(job.out, save_jinja_files=False)
    return TrainResult(
        losses=losses,
        n_steps=len(losses),
        n_tokens=losses[-1].tokens_seen,
        n_examples=len(rows),
        dropped=dropped,
        seconds=time.perf_counter() - started,
        precision=precision,
        versions=_versions(),
    )


def plan_batches(rows: Sequence[Row], *, epochs: int, batch_tokens: int, seed: int) -> list[list[int]]:
    """Row indexes of every step: phase by phase, epoch by epoch, rows of like length together, shuffled.

    A row with `repeats` k occurs in k passes of each epoch, so its occurrences never share a pass.
    """
    rng = random.Random(f"batches/{seed}")
    plan: list[list[int]] = []
    for phase in sorted({row.phase for row in rows}):
        members = [index for index, row in enumerate(rows) if row.phase == phase]
        for _ in range(epochs):
            for occurrence in range(max(rows[index].repeats for index in members)):
                present = [index for index in members if rows[index].repeats > occurrence]
                batches = list(_group(rows, present, batch_tokens, rng))
                rng.shuffle(batches)
                plan.extend(batches)
    return plan


def learning_rate_ratio(job: TrainJob, step: int, total: int) -> float:
    """The share of `learning_rate` that step `step` (from 0) of `total` is taken with."""
    if step < job.warmup_steps:
        return (step + 1) / job.warmup_steps
    if job.schedule == "constant":
        return 1.0
    progress = min(1.0, (step - job.warmup_steps) / max(1, total - job.warmup_steps))
    falling = 0.5 * (1 + math.cos(math.pi * progress)) if job.schedule == "cosine" else 1 - progress
    return job.min_lr_ratio + (1 - job.min_lr_ratio) * falling


def _group(rows: Sequence[Row], present: list[int], budget: int, rng: random.Random) -> Iterator[list[int]]:
    order = sorted(present, key=lambda index: (rows[index].n_tokens, rng.random()))
    batch: list[int] = []
    for index in order:
        # Ascending, so the row at hand is the longest so far and decides the padded width.
        if batch and (len(batch) + 1) * rows[index].n_tokens > budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _load(job: TrainJob) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(job.base)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(job.base, dtype=torch.float32, attn_implementation=job.attention)
    return tokenizer, model


def _encode(job: TrainJob, tokenizer: Any) -> tuple[list[Row], Any, list[int]]:
    """Rows, all their tokens one after the other in a file that has no name and is gone with the process, and the
    indexes of examples that are too long.
    """
    import numpy as np

    rows: list[Row] = []
    dropped: list[int] = []
    index = written = 0
    # The map keeps the file open; without a name nobody has to remove it.
    with tempfile.TemporaryFile(dir=Path(job.out).parent) as file:
        for batch in _batched(job.examples):
            taught = tokenizer([example.completion for example in batch], add_special_tokens=False)["input_ids"]
            for example, completion in zip(batch, taught, strict=True):
                prompt = encode_prompt(tokenizer, build_messages(example.prompt, example.system))
                ids = np.asarray([*prompt, *completion, tokenizer.eos_token_id], dtype=np.int32)
                if len(ids) > job.max_length:
                    dropped.append(index)
                elif example.repeats > 0:
                    rows.append(Row(written, len(ids), len(prompt), example.phase, example.repeats))
                    file.write(ids.tobytes())
                    written += len(ids)
                index += 1
        file.flush()
        tokens = np.memmap(file, dtype=np.int32, mode="r") if written else np.zeros(0, dtype=np.int32)
    return rows, tokens, dropped


def _batched(examples: Iterable[TrainExample]) -> Iterator[list[TrainExample]]:
    batch: list[TrainExample] = []
    chars = 0
    for example in examples:
        batch.append(example)
        chars += len(example.completion)
        if chars >= _BATCH_CHARS:
            yield batch
            batch, chars = [], 0
    if batch:
        yield batch


class _Examples:
    """The rows as a trainer reads them, each from the disk when its turn comes."""

    def __init__(self, rows: list[Row], tokens: Any) -> None:
        self._rows, self._tokens = rows, tokens

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        row = self._rows[index]
        ids = self._tokens[row.start : row.start + row.n_tokens].tolist()
        return {"input_ids": ids, "labels": [_IGNORED] * row.n_prompt + ids[row.n_prompt :]}


def _fit(
    job: TrainJob,
    model: Any,
    tokenizer: Any,
    examples: "_Examples",
    batches: list[list[int]],
    precision: str,
    on_step: OnStep | None,
) -> list[StepLoss]:
    import torch
    from datasets import Dataset
    from transformers.trainer_callback import PrinterCallback

    from lakon.backends.training.optimizers import build_optimizer

    optimizer = build_optimizer(job.optimizer, model, learning_rate=job.learning_rate, weight_decay=job.weight_decay)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_ratio(job, step, len(batches)))
    # The trainer wants a data set to look at, but reads the planned batches: one row will do.
    data = Dataset.from_list([examples[0]])
    trainer = _trainer_class()(
        model=model,
        args=_arguments(job, len(batches), precision),
        train_dataset=data,
        processing_class=tokenizer,
        optimizers=(optimizer, scheduler),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.follow(examples, batches, on_step)
    trainer.train()
    return trainer.losses


def _arguments(job: TrainJob, n_steps: int, precision: str) -> Any:
    import torch
    from trl.trainer.sft_config import SFTConfig

    return SFTConfig(
        output_dir=job.out,
        max_steps=n_steps,
        seed=job.seed,
        use_cpu=not torch.cuda.is_available(),
        bf16=precision == "bf16",
        max_grad_norm=job.max_grad_norm,
        # Memory is no concern at this size, and recomputing activations would cost a third more time.
        activation_checkpointing=False,
        max_length=None,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        dataloader_pin_memory=False,
        save_strategy="no",
        eval_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


def _trainer_class() -> type:
    """`SFTTrainer` with the planned batches in place of its data loader, and a record of every step."""
    import torch
    from trl.trainer.sft_trainer import SFTTrainer

    class PlannedTrainer(SFTTrainer):
        losses: list[StepLoss]

        def follow(self, examples: _Examples, batches: list[list[int]], on_step: OnStep | None) -> None:
            self.losses = []
            self._examples, self._batches, self._on_step = examples, batches, on_step
            self._seen = 0

        def get_train_dataloader(self) -> Any:
            items: Any = self._examples
            return torch.utils.data.DataLoader(items, batch_sampler=self._batches, collate_fn=self.data_collator)

        def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            self._seen += int((inputs["labels"][:, 1:] != _IGNORED).sum())
            loss = super().training_step(model, inputs, *args, **kwargs)
            optimizer: Any = self.optimizer
            rate = float(optimizer.param_groups[0]["lr"])
            self.losses.append(StepLoss(len(self.losses) + 1, self._seen, float(loss), rate))
            if self._on_step is not None:
                last = self.losses[-1]
                self._on_step(last.step, len(self._batches), last.loss, last.tokens_seen, last.learning_rate)
            return loss

    return PlannedTrainer


def _precision(job: TrainJob, model: Any) -> str:
    import torch

    from lakon.backends.training.optimizers import takes_bf16

    if job.precision != "auto":
        return job.precision
    device = "cuda" if torch.cuda.is_available() else model.device
    return "bf16" if takes_bf16(device) else "fp32"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars while this runs; the caller's own setting afterwards."""
    from datasets.utils import logging as datasets_logging
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled(), datasets_logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    datasets_logging.disable_progress_bar()
    try:
        yield
    finally:
        if bars[0]:
            logging.enable_progress_bar()
        if bars[1]:
            datasets_logging.enable_progress_bar()


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "trl", "accelerate")}
