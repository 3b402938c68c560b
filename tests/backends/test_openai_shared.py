"""Several steps at one endpoint, over HTTP: one window for all, each call once, and nobody left hanging."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from faults import FaultServer

from lakon.backends.endpoint.author import EndpointAuthor
from lakon.backends.endpoint.connection import AskProgress
from lakon.backends.endpoint.shared import SharedEndpoint, StepEndpoint
from lakon.core.digest import digest
from lakon.core.errors import AuthorError, BudgetSpent, StoreError
from lakon.core.messages import build_messages
from lakon.core.protocols import Payload, Request
from lakon.core.spending import Account, Budget

Kept = dict[str, Payload]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def steps() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def shared(server: FaultServer, **settings: Any) -> SharedEndpoint:
    given: dict[str, Any] = {"retries": 0, "backoff_s": 0.01, "connect_timeout_s": 5, **settings}
    return SharedEndpoint(EndpointAuthor(identity="m", model="m", urls=[server.url], **given))


def requests(prompts: Sequence[str]) -> list[Request]:
    return [
        Request(
            key=digest(text), problem_id=text, messages=build_messages(text), sample_index=0, seed=0, max_tokens=100
        )
        for text in prompts
    ]


def ask(endpoint: StepEndpoint, *prompts: str) -> Kept:
    """What the endpoint put for this step, by prompt."""
    named, kept = {digest(text): text for text in prompts}, Kept()
    endpoint.ask(requests(prompts), lambda key, payload: kept.update({named[key]: payload}))
    return kept


def asked(server: FaultServer) -> list[str]:
    return [str(body["messages"][-1]["content"]) for body in server.seen]


def until(true: Any) -> None:
    deadline = time.monotonic() + 20
    while not true() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert true()


def test_a_call_that_two_steps_want_at_once_is_asked_once_and_both_wait_for_it(
    server: FaultServer, steps: ThreadPoolExecutor
) -> None:
    server.together = 6
    endpoint = shared(server)
    first = steps.submit(ask, endpoint.join(), "a", "b", "c", "d")
    until(lambda: server.at_once == 4)
    second = steps.submit(ask, endpoint.join(), "c", "d", "e", "f")
    assert (set(first.result(20)), set(second.result(20))) == (set("abcd"), set("ef"))
    assert sorted(asked(server)) == list("abcdef")
    assert ask(endpoint.join(), "a", "f") == {}, "what has come is in the ledger"
    assert len(server.seen) == 6


def test_a_step_that_only_wants_calls_of_others_returns_when_they_have_come(
    server: FaultServer, steps: ThreadPoolExecutor
) -> None:
    server.together = 2
    endpoint = shared(server)
    first = steps.submit(ask, endpoint.join(), "a", "b")
    until(lambda: server.at_once == 2 or server.seen)
    assert ask(endpoint.join(), "b") == {}
    assert set(first.result(20)) == {"a", "b"}


def test_all_steps_together_keep_to_the_concurrency_of_one_endpoint(
    server: FaultServer, steps: ThreadPoolExecutor
) -> None:
    server.delay_s = 0.02
    endpoint = shared(server, concurrency=4)
    works = [steps.submit(ask, endpoint.join(), *(f"{step}-{i}" for i in range(10))) for step in range(6)]
    assert [len(work.result(30)) for work in works] == [10] * 6
    assert server.most_at_once == 4


def test_all_steps_together_keep_to_one_budget(server: FaultServer, steps: ThreadPoolExecutor) -> None:
    server.delay_s = 0.02
    budget = Budget(tokens=700)  # a request may take 64 + 1 + 100 tokens and takes 12
    endpoint = shared(server, concurrency=8, account=Account(budget))
    works: list[Future[Kept]] = []
    for step in range(4):
        works.append(steps.submit(ask, endpoint.join(), *(f"{step}-{i:02d}" for i in range(40))))
    failures = [work.exception(30) for work in works]
    assert [type(failure) for failure in failures if failure].count(BudgetSpent) >= 2
    assert {type(failure) for failure in failures} <= {BudgetSpent, type(None)}
    assert 500 < budget.spent.tokens <= 700
    assert budget.spent.tokens == 12 * len(server.seen)


def test_requests_per_minute_hold_from_one_window_to_the_next(server: FaultServer) -> None:
    endpoint = shared(server, requests_per_minute=300)
    for i in range(8):
        ask(endpoint.join(), f"{i}")
    assert server.times[-1] - server.times[0] > 0.5, "five at once, and three a fifth of a second apart"


def test_what_ends_the_window_is_heard_by_every_step_and_the_calls_can_be_asked_again(
    server: FaultServer, steps: ThreadPoolExecutor
) -> None:
    server.together = 3
    endpoint = shared(server)
    first = steps.submit(ask, endpoint.join(), "status401*1 a", "hang*1 b")
    second = steps.submit(ask, endpoint.join(), "hang*1 b", "hang*1 c")
    for work in (first, second):
        with pytest.raises(AuthorError, match="401"):
            work.result(20)
    assert set(ask(endpoint.join(), "hang*1 c", "hang*1 b")) == {"hang*1 b", "hang*1 c"}
    assert sorted(asked(server)) == ["hang*1 b"] * 2 + ["hang*1 c"] * 2 + ["status401*1 a"]


def test_a_step_whose_replies_cannot_be_kept_leaves_no_other_hanging(
    server: FaultServer, steps: ThreadPoolExecutor
) -> None:
    server.together = 2
    endpoint = shared(server)

    def full(key: str, payload: Payload) -> None:
        raise StoreError("no room", "room", "free some")

    first = steps.submit(endpoint.join().ask, requests(["a"]), full)
    second = steps.submit(ask, endpoint.join(), "a", "hang")
    for work in (first, second):
        with pytest.raises(StoreError, match="no room"):
            work.result(20)
    assert set(ask(endpoint.join(), "a")) == {"a"}, "asked again: nobody has it"


def test_a_stop_brings_home_what_is_in_flight_and_lets_all_steps_go(
    server: FaultServer, steps: ThreadPoolExecutor
) -> None:
    server.together = 3
    stop = threading.Event()
    endpoint = shared(server, concurrency=2, stop=stop)
    first = steps.submit(ask, endpoint.join(), "a", "b", "c")
    second = steps.submit(ask, endpoint.join(), "b", "c", "d")
    until(lambda: server.at_once == 2)
    stop.set()
    server.together = 0
    came = first.result(20) | second.result(20)
    assert sorted(came) == sorted(asked(server))
    assert len(came) == 2
    assert ask(endpoint.join(), "e") == {}
    assert len(server.seen) == 2


def test_replies_that_are_held_back_for_a_success_come_when_nothing_else_will(server: FaultServer) -> None:
    kept = ask(shared(server).join(), "status404 a", "status500 b")
    assert {text: payload["status"] for text, payload in kept.items()} == {"status404 a": 404, "status500 b": 500}


def test_each_step_is_told_of_its_own_calls_in_flight(server: FaultServer, steps: ThreadPoolExecutor) -> None:
    server.together = 5
    told: dict[str, set[int]] = {"first": set(), "second": set()}

    def tell(step: str) -> Any:
        def note(asked: AskProgress) -> None:
            told[step].add(asked.in_flight)
            server.together = 0 if {2} <= told["second"] and {3} <= told["first"] else 5

        return note

    endpoint = shared(server, concurrency=4)
    first = steps.submit(ask, endpoint.join(tell("first")), "a", "b", "c")
    until(lambda: server.at_once == 3)
    second = steps.submit(ask, endpoint.join(tell("second")), "c", "d", "e")
    assert (len(first.result(30)), len(second.result(30))) == (3, 2)
    assert max(told["first"]) == 3
    assert max(told["second"]) == 2
