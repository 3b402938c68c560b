"""What a step says of itself while it runs: one line with rates, cost, what is in flight, errors by kind."""

from __future__ import annotations

import time

from laconic.watch.meter import Meter


def test_a_meter_says_everything_in_one_line():
    meter = Meter("generate/a")
    meter.start(1_000, done=100, unit="traces")
    meter.began = time.monotonic() - 10
    meter.advance(1, tokens=5_000, cost=1.25)
    meter.advance(99, tokens=15_000, errors=1, **{"error: timeout": 1})
    meter.advance(100, errors=2, **{"error: rate_limited": 2})
    meter.show(in_flight=63, limit=64)
    meter.show(in_flight=64)
    said = meter.describe()
    assert said.startswith("300/1,000 traces, 20.0/s, 2,0")
    assert "tokens/s, cost 1.25, 64 in flight, 3 errors (2 rate_limited, 1 timeout), 0:35 left" in said
    facts = meter.facts()
    assert (facts["in_flight"], facts["limit"], facts["cost"], facts["text"][:9]) == (64, 64, 1.25, "300/1,000")


def test_a_meter_says_that_nobody_answers_and_what_was_damaged():
    meter = Meter("generate/a")
    meter.show(lost=1)
    meter.start(9, unit="traces")
    meter.advance(1, errors=1, **{"error: timeout": 1})
    meter.show(retries=12, silent_s=40.4)
    said = meter.describe()
    assert "no connection for 40 s, 12 retries, 1 error (1 timeout), 1 damaged record of the ledger asked again" in said
    meter.show(silent_s=0.0)
    assert "no connection" not in meter.describe()


def test_a_meter_that_starts_again_forgets_its_figures():
    meter = Meter("a")
    meter.start(10)
    meter.advance(5, errors=1)
    meter.start(7, unit="verdicts")
    assert meter.describe() == "0/7 verdicts"
    assert Meter("later").describe() == "starting"
