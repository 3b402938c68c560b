"""The learning rate of each step. A schedule restarts with each phase of a curriculum: a phase that began at the end of
the one before it would hardly be trained at all."""

from __future__ import annotations

import math

from lakon.backends.training.job import TrainJob


def learning_rate_ratio(job: TrainJob, place: int, of: int) -> float:
    """The share of `learning_rate` that a step is taken with, `place` steps (from 0) into a phase of `of` steps."""
    if place < job.warmup_steps:
        return (place + 1) / job.warmup_steps
    if job.schedule == "constant":
        return 1.0
    progress = min(1.0, (place - job.warmup_steps) / max(1, of - job.warmup_steps))
    falling = 0.5 * (1 + math.cos(math.pi * progress)) if job.schedule == "cosine" else 1 - progress
    return job.min_lr_ratio + (1 - job.min_lr_ratio) * falling
