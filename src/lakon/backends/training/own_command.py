"""A trainer of one's own: any command that takes examples and settings from a folder and leaves a model in another.

The folder has `job.json` (base, settings, seed, where to write), `examples.jsonl` (a line an example: messages, prompt
and completion as they are rendered, phase, repeats) and `held-out.jsonl` where there are any. The command leaves a
checkpoint in the output folder: config, weights and, unless the base's own is to be used, a tokenizer. It may leave
`trainer.json` (`{"name": ..., "version": ...}`, what it was) and `losses.jsonl` (`{"step", "steps", "tokens", "loss",
"learning_rate"}`) there. Losses that come while it trains are shown while it trains.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from lakon.backends.chat_format import continue_prompt, render_prompt
from lakon.backends.training.checks import check_saved_tokenizer
from lakon.backends.training.job import OnStep, StepLoss, TrainExample, TrainJob, TrainResult
from lakon.backends.training.launch import LOG, LossFollower, run_command
from lakon.backends.training.model import load_tokenizer, quiet_libraries, save_tokenizer
from lakon.backends.training.worker import JobFile, read_examples, read_held_out
from lakon.core.errors import InputError, LakonError
from lakon.core.messages import build_messages

_TRAINER, _LOSSES = "trainer.json", "losses.jsonl"
_WEIGHTS = ("*.safetensors", "*.bin")


def run_own_trainer(
    file: JobFile,
    command: Sequence[str],
    *,
    devices: Sequence[str],
    stop: threading.Event,
    on_step: OnStep | None = None,
) -> TrainResult:
    """Hand the job to a command and take back what it trained.

    Raises `LakonError` when it fails, and `InputError` when what it leaves is no model that can be asked as it was
    trained.
    """
    started = time.perf_counter()
    folder, out = Path(file.job.work) / "job", Path(file.job.out)
    with quiet_libraries():
        tokenizer = load_tokenizer(file.job.base)
    prompts, n_examples = write_job_folder(file, folder, tokenizer)
    out.mkdir(parents=True, exist_ok=True)
    words = [word.replace("{job}", str(folder)).replace("{out}", str(out)) for word in command]
    environment = {"LAKON_JOB": str(folder), "LAKON_OUT": str(out)}
    if devices:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
    log = Path(file.job.work) / LOG
    follow = LossFollower(out / _LOSSES, _read_loss, on_step)
    code = run_command(words, log, environment, stop=stop, look=lambda: _look(follow))
    if code != 0:
        raise LakonError(
            f"the trainer {command[0]!r} ended with exit code {code}",
            "exit code 0, and a model in the output folder",
            f"look at {LOG} in the store's folder {log.parent.parent.name}/{log.parent.name}, then run again",
            where="run.training.command",
        )
    _check_model(out, command[0])
    told, losses = _take_own_files(out)
    if not (out / "tokenizer_config.json").is_file():
        save_tokenizer(tokenizer, out)
    with quiet_libraries():
        check_saved_tokenizer(str(out), prompts, load_tokenizer(file.job.base))
    return TrainResult(
        losses=losses,
        n_steps=len(losses),
        n_tokens=losses[-1].tokens_seen if losses else 0,
        n_examples=n_examples,
        dropped=[],
        shown=[],
        held_out=[],
        seconds=time.perf_counter() - started,
        settings={"trainer": str(told.get("name") or Path(command[0]).name)[:200]},
        versions={str(told["name"])[:200]: str(told.get("version", ""))[:200]} if told.get("name") else {},
    )


def write_job_folder(file: JobFile, folder: Path, tokenizer: Any) -> tuple[list[str], int]:
    """Put settings and examples into `folder`; returns the first prompts, and how many examples there are."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "job.json").write_bytes(orjson.dumps(_settings(file.job), option=orjson.OPT_INDENT_2))
    prompts: list[str] = []
    n_examples = _write_examples(folder / "examples.jsonl", read_examples(file.examples), tokenizer, "", prompts)
    (folder / "held-out.jsonl").unlink(missing_ok=True)  # of an attempt that failed
    for style, examples in read_held_out(file.held_out).items():
        _write_examples(folder / "held-out.jsonl", examples, tokenizer, style, [])
    return prompts, n_examples


def _settings(job: TrainJob) -> dict[str, Any]:
    settings = asdict(job)
    if job.adapter is not None:
        settings["adapter"] = job.adapter._asdict()
    return settings


def _write_examples(
    path: Path, examples: Iterable[TrainExample], tokenizer: Any, style: str, prompts: list[str]
) -> int:
    n_examples = 0
    with path.open("ab" if style else "wb") as file:
        for example in examples:
            messages = build_messages(example.prompt, example.system)
            if len(prompts) < 8 and not example.system:
                prompts.append(example.prompt)
            prompt = render_prompt(tokenizer, messages)
            row = {
                "messages": [message._asdict() for message in messages]
                + [{"role": "assistant", "content": example.completion}],
                "prompt": prompt,
                "completion": continue_prompt(prompt, example.completion) + (tokenizer.eos_token or ""),
                "phase": example.phase,
                "repeats": example.repeats,
                **({"style": style} if style else {}),
            }
            file.write(orjson.dumps(row) + b"\n")
            n_examples += 1
    return n_examples


def _check_model(out: Path, command: str) -> None:
    whole = (out / "config.json").is_file() and any(any(out.glob(pattern)) for pattern in _WEIGHTS)
    adapter = (out / "adapter_config.json").is_file()
    if not whole and not adapter:
        names = sorted(path.name for path in out.iterdir())[:8]
        raise InputError(
            f"the trainer {command!r} ended well and left {', '.join(names) if names else 'nothing'}",
            "config.json and weights (*.safetensors), or an adapter",
            "let it write its model into {out}, which LAKON_OUT names too",
            where="run.training.command",
        )


def _look(follow: LossFollower) -> None:
    """Show the losses so far. A line that cannot be read is told when the command has ended, not in its midst."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        follow.look()


def _read_loss(line: bytes) -> tuple[StepLoss, int]:
    """A line of losses, and how many steps there will be: 0 where it does not say."""
    row = orjson.loads(line)
    loss = StepLoss(
        int(row["step"]), int(row.get("tokens", 0)), float(row["loss"]), float(row.get("learning_rate", 0.0))
    )
    return loss, int(row.get("steps", 0))


def _take_own_files(out: Path) -> tuple[dict[str, Any], list[StepLoss]]:
    """What the command says of itself and of its losses; these files are no part of the model."""
    trainer, losses = out / _TRAINER, out / _LOSSES
    told: dict[str, Any] = {}
    steps: list[StepLoss] = []
    try:
        if trainer.is_file():
            told = dict(orjson.loads(trainer.read_bytes()))
        if losses.is_file():
            steps = [_read_loss(line)[0] for line in losses.read_bytes().splitlines() if line]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"the trainer left {_TRAINER} and {_LOSSES} that cannot be read: {str(error)[:200]}",
            'trainer.json as {"name": ..., "version": ...}, losses.jsonl with step, tokens and loss in each line',
            "mend what the command writes, or let it write neither",
            where="run.training.command",
        ) from error
    trainer.unlink(missing_ok=True)
    losses.unlink(missing_ok=True)
    return told, steps
