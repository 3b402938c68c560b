"""TRL's `SFTTrainer`, fed with steps that are planned here.

What is ours: which examples make a step, how a step is shared by processes and computed in parts, the learning rate of
each step, losses as they come, checkpoints. What is TRL's: the loss, mixed precision, clipping, callbacks.
Imports torch and TRL inside functions only.
"""

from __future__ import annotations

import functools
import importlib.util
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lakon.backends.training.batches import Layout, PlannedStep, split_block
from lakon.backends.training.checkpoints import Checkpoints, Progress
from lakon.backends.training.checks import check_first_loss
from lakon.backends.training.job import HeldOutLoss, OnStep, StepLoss, TrainJob
from lakon.backends.training.loss_file import LossFile
from lakon.backends.training.model import reshard
from lakon.backends.training.schedule import learning_rate_ratio
from lakon.backends.training.tokens import IGNORED, EncodedExamples, count_trained
from lakon.core.errors import InputError

Batch = dict[str, Any]
"""What one forward pass takes, as tensors."""

OWN_SETTINGS = frozenset(
    """
    activation_checkpointing assistant_only_loss average_tokens_across_devices bf16 chat_template_path
    completion_only_loss data_seed dataset_kwargs deepspeed disable_tqdm eos_token eval_strategy fp16
    fsdp fsdp_config gradient_accumulation_steps gradient_checkpointing learning_rate logging_steps
    logging_strategy lr_scheduler_type max_grad_norm max_length max_steps model_init_kwargs
    num_train_epochs optim output_dir packing packing_strategy padding_free parallelism_config
    per_device_train_batch_size push_to_hub remove_unused_columns report_to resume_from_checkpoint
    router_aux_loss_coef save_steps save_strategy seed shuffle_dataset trust_remote_code use_cpu use_liger_kernel
    warmup_ratio warmup_steps weight_decay
    """.split()  # noqa: SIM905
)
"""Names of `SFTConfig` that a field of the study decides, or that would undo what is promised here."""


class Feed(NamedTuple):
    """What a trainer is fed with."""

    encoded: EncodedExamples
    plan: Sequence[PlannedStep]
    layout: Layout
    micro_batch_tokens: int
    held_out: dict[str, EncodedExamples]
    """Style to examples that are never trained on."""


def check_extra(extra: dict[str, Any]) -> None:
    """Refuse settings in `training.extra` that TRL does not have, that are decided elsewhere, or whose value it cannot
    take."""
    import typing

    from pydantic import TypeAdapter, ValidationError
    from trl.trainer.sft_config import SFTConfig

    if not extra:
        return
    kinds = typing.get_type_hints(SFTConfig)
    for name, value in extra.items():
        if name in OWN_SETTINGS or name not in SFTConfig.__dataclass_fields__:
            raise InputError(
                f"training.extra.{name} "
                + ("is decided by a field of [training] or [run.training]" if name in OWN_SETTINGS else "is unknown"),
                "a setting of TRL's SFTConfig that no field of the study decides",
                "take it out, or use the field: `lakon fields training` lists them",
                where="train",
            )
        try:
            TypeAdapter(kinds[name]).validate_python(value, strict=True)
        except ValidationError as error:
            raise InputError(
                f"training.extra.{name} = {value!r}: {error.errors()[0]['msg']}",
                f"what TRL's SFTConfig takes: {kinds[name]}",
                "correct the value",
                where="train",
            ) from error


def fit(
    job: TrainJob,
    model: Any,
    tokenizer: Any,
    feed: Feed,
    *,
    precision: str,
    checkpoints: Checkpoints,
    losses: LossFile,
    on_step: OnStep | None,
) -> int:
    """Train to the end of the plan; returns the step that the run went on from, 0 for the beginning."""
    from datasets import Dataset
    from transformers.trainer_callback import PrinterCallback

    from lakon.backends.training.optimizers import build_optimizer

    optimizer = build_optimizer(
        job.optimizer,
        model,
        learning_rate=job.learning_rate,
        weight_decay=job.weight_decay,
        rounding_seed=job.seed if precision == "bf16" else None,
    )
    came_to = checkpoints.load(model, optimizer) or Progress(0, 0)
    losses.cut(came_to.step)
    base_settings = _settings_of_base(model)
    # The trainer wants a data set to look at, but reads the planned steps: one row will do.
    trainer = _trainer_class()(
        model=model,
        args=_arguments(job, len(feed.plan), precision),
        train_dataset=Dataset.from_list([feed.encoded.item(0)]),
        processing_class=tokenizer,
        optimizers=(optimizer, _scheduler(job, optimizer, feed.plan, came_to.step)),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.follow(feed, job, came_to, checkpoints, losses, on_step)
    if came_to.step < len(feed.plan):
        trainer.train()
    for name, value in base_settings.items():
        setattr(model.config.get_text_config(), name, value)
    return came_to.step


def _settings_of_base(model: Any) -> dict[str, Any]:
    """What TRL sets on the model's configuration for its own run, as it was before it: the student keeps it."""
    config = model.config.get_text_config()
    names = ("use_cache", "output_router_logits", "router_aux_loss_coef")
    return {name: getattr(config, name) for name in names if hasattr(config, name)}


def _scheduler(job: TrainJob, optimizer: Any, plan: Sequence[PlannedStep], done: int) -> Any:
    import torch

    def ratio(step: int) -> float:
        # The library asks for the step after the last one, too.
        at = plan[min(done + step, len(plan) - 1)]
        return learning_rate_ratio(job, at.place, at.of)

    for group in optimizer.param_groups:
        group["lr"] = job.learning_rate
        group.pop("initial_lr", None)
    return torch.optim.lr_scheduler.LambdaLR(optimizer, ratio)


def _arguments(job: TrainJob, n_steps: int, precision: str) -> Any:
    import torch
    from trl.trainer.sft_config import SFTConfig

    on_gpu = torch.cuda.is_available()
    recompute = job.activation_checkpointing
    return SFTConfig(
        output_dir=str(Path(job.work) / "trainer"),
        max_steps=n_steps,
        seed=job.seed,
        use_cpu=not on_gpu,
        bf16=precision == "mixed",
        max_grad_norm=job.max_grad_norm,
        activation_checkpointing=on_gpu if recompute is None else recompute,
        # A loss that balances experts depends on which examples are computed together, and would stand in the curve.
        router_aux_loss_coef=0.0,
        max_length=None,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        dataloader_pin_memory=False,
        save_strategy="no",
        eval_strategy="no",
        logging_strategy="steps" if job.report_to else "no",
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=list(job.report_to) or "none",
        disable_tqdm=True,
        # Its layers only: TRL has a fused head of its own. On a processor these kernels fail.
        use_liger_kernel=on_gpu and importlib.util.find_spec("liger_kernel") is not None,
        **job.extra,
    )


@functools.cache
def _trainer_class() -> type:
    """`SFTTrainer` with planned steps in place of its data loader, and a record of every step."""
    import torch
    from torch.utils.data import DataLoader
    from transformers.trainer_callback import TrainerCallback
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling, SFTTrainer

    class GoOn(TrainerCallback):
        """Lets the library count from the step that the run goes on from."""

        def __init__(self, step: int) -> None:
            self._step = step

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            state.global_step = self._step

    class PlannedTrainer(SFTTrainer):
        def follow(
            self,
            feed: Feed,
            job: TrainJob,
            came_to: Progress,
            checkpoints: Checkpoints,
            losses: LossFile,
            on_step: OnStep | None,
        ) -> None:
            self._feed, self._job, self._on_step = feed, job, on_step
            self._checkpoints, self._loss_file = checkpoints, losses
            self._step, self._seen = came_to
            self._saved_at = time.monotonic()
            tokenizer: Any = self.processing_class
            pad = tokenizer.pad_token_id
            self._collate: Callable[[list[Any]], Batch] = DataCollatorForLanguageModeling(
                pad_token_id=pad, padding_free=feed.layout == "packed"
            )
            self._padded = DataCollatorForLanguageModeling(pad_token_id=pad)
            self._held_out_every = job.held_out_every or max(1, len(feed.plan) // 20)
            self.add_callback(GoOn(came_to.step))
            if came_to.step == 0:
                self._measure_held_out()

        # -- what a step reads ---------------------------------------------------------------------------------

        def get_train_dataloader(self) -> Any:
            steps: Any = range(self._step, len(self._feed.plan))
            parts_of: Any = self._parts_of
            return DataLoader(steps, batch_size=None, shuffle=False, collate_fn=parts_of)

        def _parts_of(self, step: int) -> list[Batch]:
            """This process's parts of a step. All processes have as many, since they compute in step: where one has
            none, it takes another's with every label left out."""
            encoded, planned = self._feed.encoded, self._feed.plan[step]
            parts: list[list[int]] = []
            for block in planned.blocks:
                parts += split_block(encoded.rows, block, self._feed.micro_batch_tokens, self._feed.layout)
            rank, processes = self.args.process_index, self.args.world_size
            mine = [self._batch_of(part) for part in parts[rank::processes]]
            if len(mine) < -(-len(parts) // processes):
                spare = self._batch_of(min(parts, key=len))
                spare["labels"] = torch.full_like(spare["labels"], IGNORED)
                mine.append(spare)
            return mine

        def _batch_of(self, part: list[int]) -> Batch:
            return self._collate([self._feed.encoded.item(index) for index in part])

        # -- one step ------------------------------------------------------------------------------------------

        def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            trained = count_trained(self._feed.encoded, self._feed.plan[self._step].blocks)
            total = torch.tensor(trained, device=self.args.device)
            loss = torch.zeros((), device=self.args.device)
            for part in inputs:
                # Each loss is divided by the tokens of the whole step, so the gradients add up to that of one pass.
                loss += super().training_step(model, part, num_items_in_batch=total).float()
            if self.args.world_size > 1:
                torch.distributed.all_reduce(loss)
                loss /= self.args.world_size
            self._record(float(loss), trained)
            return loss

        def _record(self, loss: float, trained: int) -> None:
            if self._step == 0:
                network: Any = self.model
                check_first_loss(loss, network.config.get_text_config().vocab_size)
            optimizer: Any = self.optimizer
            self._seen += trained
            rate = float(optimizer.param_groups[0]["lr"])
            made = StepLoss(self._step + 1, self._seen, loss, rate)
            self._loss_file.add(made, len(self._feed.plan))
            if self._on_step is not None and self.args.process_index == 0:
                self._on_step(made, len(self._feed.plan))

        def _maybe_log_save_evaluate(self, *args: Any, **kwargs: Any) -> None:
            """After a step's update: the library's own logging, held-out loss, and a checkpoint when it is time."""
            super()._maybe_log_save_evaluate(*args, **kwargs)
            if self.state.global_step <= self._step:
                return  # the end of an epoch
            self._step = self.state.global_step
            is_last = self._step == len(self._feed.plan)
            if self._step % self._held_out_every == 0 or is_last:
                self._measure_held_out()
            if not is_last and self._is_time_to_save():
                self._checkpoints.save(self.model, _bare(self.optimizer), Progress(self._step, self._seen))
                self._saved_at = time.monotonic()

        def _is_time_to_save(self) -> bool:
            """As the first process's clock says, so that all save after the same step."""
            due = time.monotonic() - self._saved_at >= 60 * self._job.checkpoint_minutes
            if self.args.world_size == 1:
                return due
            told = torch.tensor(int(due), device=self.args.device)
            torch.distributed.broadcast(told, src=0)
            return bool(told)

        def floating_point_ops(self, inputs: Any) -> int:
            """Not counted: a step comes in parts."""
            return 0

        # -- held-out loss -------------------------------------------------------------------------------------

        def _measure_held_out(self) -> None:
            network: Any = self.model
            network.eval()
            for style, encoded in self._feed.held_out.items():
                total, n_tokens = 0.0, 0
                for block in _blocks_of(encoded, self._feed.micro_batch_tokens):
                    batch = self._padded([encoded.item(index) for index in block])
                    n_block = count_trained(encoded, [block])
                    loss: Any = self.prediction_step(network, batch, prediction_loss_only=True)[0]
                    total, n_tokens = total + float(loss) * n_block, n_tokens + n_block
                self._loss_file.add_held_out(HeldOutLoss(self._step, self._seen, style, total / n_tokens, n_tokens))
            network.train()
            reshard(network)
            self._metrics["eval"].clear()

    return PlannedTrainer


def _blocks_of(encoded: EncodedExamples, limit: int) -> Iterator[list[int]]:
    order = sorted(range(len(encoded.rows)), key=lambda index: encoded.rows[index].n_tokens)
    return split_block(encoded.rows, order, limit, "padded")


def _bare(optimizer: Any) -> Any:
    """The optimizer under the library's wrapper."""
    return getattr(optimizer, "optimizer", optimizer)
