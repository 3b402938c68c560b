"""What the training stage says of its progress: from the beginning, from a checkpoint, and when it goes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lakon.core.protocols import Trained
from lakon.core.records import ExampleLengths
from lakon.progress.meter import Meter
from lakon.stages.train.train import train


def meter_after(steps: Sequence[tuple[int, int]]) -> Meter:
    """The meter of a training of ten steps that told these: each a step, and the tokens up to it."""
    meter = Meter("train/arm")

    def fit(_: Sequence[ExampleLengths], on_step: Callable[[int, int, float, int], None]) -> Trained:
        for step, tokens in steps:
            on_step(step, 10, 1.0, tokens)
        return Trained(losses=[], dropped=[], texts=[], held_out=[])

    train([], fit, progress=meter)
    return meter


def test_a_training_tells_its_steps_from_the_beginning():
    meter = meter_after([(1, 100), (2, 200), (7, 700)])
    assert (meter.done, meter.total, meter.before) == (7, 10, 0)
    assert meter.figures["tokens"] == 700


def test_a_training_that_goes_on_counts_the_steps_before_as_done():
    meter = meter_after([(6, 600), (8, 800)])
    assert (meter.done, meter.total, meter.before) == (8, 10, 5)
    assert meter.figures["tokens"] == 200


def test_a_training_that_goes_back_to_a_checkpoint_counts_from_there():
    meter = meter_after([(6, 600), (7, 700), (4, 400), (5, 500)])
    assert (meter.done, meter.total, meter.before) == (5, 10, 3)
