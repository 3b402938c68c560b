"""The card of a student: what it was made of, for whoever finds its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lakon.backends.training.job import TrainJob


def write_card(job: TrainJob, *, n_examples: int, settings: Mapping[str, object], versions: Mapping[str, str]) -> None:
    """Write `README.md` into the student's folder, as the hub reads it. A base in a folder is named by its last part:
    where it lies on this machine is nobody's business."""
    base = Path(job.base).name if Path(job.base).exists() else job.base
    trained = f"{n_examples:,} examples, {job.epochs} epochs, seed {job.seed}"
    how = {
        "method": f"{job.adapter.method}, rank {job.adapter.rank}" if job.adapter is not None else "all weights",
        "optimizer": f"{job.optimizer}, learning rate {job.learning_rate:g}, {job.schedule}",
        "tokens a step": f"{job.batch_tokens:,}",
        "longest example": f"{job.max_length:,} tokens",
        **{name: settings[name] for name in ("precision", "attention", "layout") if name in settings},
        **versions,
    }
    rows = "".join(f"- {name}: {value}\n" for name, value in how.items())
    hub = f"base_model: {base}\n" if not Path(job.base).exists() else ""
    head = f"---\n{hub}library_name: transformers\ntags: [lakon, sft]\n---\n"
    text = f"{head}\n# Fine-tuned from {base}\n\n{trained}.\n\n{rows}"
    (Path(job.out) / "README.md").write_text(text, encoding="utf-8")
