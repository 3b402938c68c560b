"""The window's arithmetic with a clock of the test's own, and what servers mean by `Retry-After`."""

from __future__ import annotations

import email.utils
from typing import Any

import pytest

from lakon.backends.endpoint.flow_control import Bucket, Pace, Route, Routes, Window, backoff_s
from lakon.backends.endpoint.http import WAIT_MAX_S, retry_after
from lakon.backends.endpoint.stream import Assembly, Parts
from lakon.backends.reasoning_formats import split_message
from lakon.core.messages import build_messages


def test_the_window_shrinks_once_for_requests_that_flew_together_and_grows_back() -> None:
    window = Window(100)
    for _ in range(50):
        window.shrink(began=0.0, now=1.0)
    assert window.limit == 70
    window.shrink(began=1.5, now=2.0)
    assert window.limit == 49
    for _ in range(49):
        window.grow()
    assert 53 <= window.limit <= 54, "a window's worth of successes adds a twentieth of the ceiling"
    for _ in range(2_000):
        window.grow()
    assert window.limit == 100
    for now in range(3, 100):
        window.shrink(began=now, now=now)
    assert window.limit == 1


def test_a_bucket_allows_its_rate_and_no_more() -> None:
    bucket = Bucket(120)
    now, started = 0.0, 0
    while now < 60:
        if (wait_s := bucket.wait_s(1, now)) > 0:
            now += wait_s
        else:
            bucket.take(1)
            started += 1
    assert 118 <= started <= 123
    assert Bucket(None).wait_s(10**9, 0.0) == 0


def test_the_pace_waits_for_what_was_used_and_learns_from_it() -> None:
    pace = Pace(None, 60_000)
    first = pace.guess(build_messages("x" * 300, "x" * 100), max_tokens=50_000)
    assert first == 1100
    assert pace.wait_s(first, 0.0) == 0
    pace.start(first)
    pace.settle(first, used=21_000, completion=20_900)
    assert pace.guess(build_messages("x" * 300, "x" * 100), max_tokens=50_000) > 2_000
    assert pace.guess(build_messages("x" * 300, "x" * 100), max_tokens=10) == 110
    assert 15 < pace.wait_s(100, 0.0) < 17, "21,000 used, 5,000 allowed at once, 1,000 a second"


def test_requests_go_to_the_least_busy_route_that_is_open() -> None:
    routes = Routes([Route("a"), Route("b"), Route("c")], began=0.0)
    a, b, c = routes.all
    a.in_flight, b.in_flight = 2, 1
    assert routes.choose(0.0) is c
    c.pause(0.0, 5.0)
    assert routes.choose(0.0) is b
    assert routes.opens_in(0.0) == 5.0
    assert routes.choose(5.0) is c


def test_a_refusing_route_is_probed_by_one_request_and_lost_when_all_refuse() -> None:
    routes = Routes([Route("a"), Route("b")], began=0.0)
    a, b = routes.all
    for _ in range(20):
        a.count_refusal(began=0.0, now=0.1, base_s=1.0)
    assert a.refusals == 1
    assert not a.is_free(0.2)
    assert a.is_free(1.2)
    a.in_flight = 1
    assert not a.is_free(1.2)
    assert not routes.are_lost(1.2, outage_s=60), "b has not been tried"
    assert routes.silent_s(1.2) == 0.0
    b.count_refusal(began=0.0, now=0.1, base_s=1.0)
    assert routes.are_lost(1.2, outage_s=60), "nothing ever answered"
    routes.count_answer(a, 2.0)
    b.count_refusal(began=3.0, now=3.0, base_s=1.0)
    a.count_refusal(began=3.0, now=3.0, base_s=1.0)
    assert not routes.are_lost(50.0, outage_s=60)
    assert routes.silent_s(42.0) == 40.0
    assert routes.are_lost(63.0, outage_s=60)


def test_backoff_doubles_up_to_a_minute() -> None:
    for failures, most in ((1, 0.5), (2, 1.0), (5, 8.0), (50, 60.0)):
        waits = [backoff_s(failures, 0.5) for _ in range(50)]
        assert most / 2 <= min(waits) < max(waits) <= most


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": " 0.5 "}, 0.5),
        ({"Retry-After": email.utils.formatdate(NOW + 30, usegmt=True)}, 30.0),
        ({"Retry-After": email.utils.formatdate(NOW - 30, usegmt=True)}, 0.0),
        ({"Retry-After": "999999999"}, WAIT_MAX_S),
        ({"retry-after-ms": "250", "Retry-After": "7"}, 0.25),
        ({"Retry-After": "soon"}, None),
        ({"retry-after-ms": "nan?"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


def test_a_stream_of_parts_and_texts_is_put_together_in_order() -> None:
    assembly = Assembly(began=0.0)
    for text in ("Let", " me"):
        part = b'{"type": "thinking", "thinking": [{"type": "text", "text": "%s"}]}' % text.encode()
        assembly.add(b'{"choices": [{"delta": {"role": "assistant", "content": [%s]}}]}' % part)
    for text in ("It is", " 4."):
        assembly.add(b'{"choices": [{"delta": {"content": "%s"}}]}' % text.encode())
    assembly.add(b'{"choices": [{"delta": {}, "finish_reason": "stop"}]}')
    body, problem, ttft_s = assembly.result()
    parts = body["choices"][0]["message"]["content"]
    assert [part["type"] for part in parts] == ["thinking", "text"]
    assert split_message(body["choices"][0]["message"]) == ("Let me", "It is 4.", True), "not torn where a token ends"
    assert parts[-1]["text"] == "It is 4."
    assert problem is None
    assert ttft_s


class Piece(list[object]):
    """Text that can be added to, and never copied into another one."""

    def __add__(self, other: object) -> Any:
        raise AssertionError("what came before is copied for every piece")


def test_a_thought_grows_in_place_whatever_it_is_made_of() -> None:
    parts = Parts()
    first = Piece([{"type": "text", "text": "w0"}])
    parts.add({"type": "thinking", "thinking": first})
    for i in range(1, 5):
        parts.add({"type": "thinking", "thinking": Piece([{"type": "text", "text": f"w{i}"}])})
    (thought,) = parts.all_parts()
    assert thought["thinking"] is first
    assert [piece["text"] for piece in thought["thinking"]] == [f"w{i}" for i in range(5)]
    parts, said = Parts(), {"type": "text", "text": "It"}
    parts.add(said)
    for text in (" is", " 4", "."):
        parts.add({"type": "text", "text": text})
    assert said["text"] == "It", "pieces wait to be put together all at once"
    parts.add({"type": "thinking", "thinking": "Hm"})
    parts.add({"type": "thinking", "thinking": "."})
    whole = [{"type": "text", "text": "It is 4."}, {"type": "thinking", "thinking": "Hm."}]
    assert parts.all_parts() == whole
    parts.add({"type": "thinking", "thinking": ".."})
    assert parts.all_parts() == [whole[0], {"type": "thinking", "thinking": "Hm..."}]


def test_a_stream_that_ends_in_an_error_is_no_short_reply() -> None:
    assembly = Assembly(began=0.0)
    assembly.add(b'{"choices": [{"delta": {"content": "half of"}}]}')
    assembly.add(b'{"error": {"code": 502, "message": "upstream is gone"}}')
    assert assembly.result().body == {"error": {"code": 502, "message": "upstream is gone"}}
    assembly = Assembly(began=0.0)
    assembly.add(b'{"choices": [{"delta": {"content": "half of"}}]}')
    assert assembly.result().problem == "the stream broke off"
