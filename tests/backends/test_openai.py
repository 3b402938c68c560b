"""The endpoint client against a server that misbehaves: a bad row costs a row, a bad whole stops at once."""

from __future__ import annotations

import asyncio
import collections
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from faults import KEY, FaultServer
from test_reasoning import MESSAGES, TEXTS, A, R

from lakon.backends.endpoint.author import EndpointAuthor
from lakon.backends.endpoint.connection import AskProgress
from lakon.core.errors import AuthorError, StoreError
from lakon.core.messages import Message, build_messages, read_prompt
from lakon.core.protocols import Payload, Reply, Request
from lakon.core.records import Problem
from lakon.core.spec import Sampling
from lakon.stages.generate.requests import list_requests
from lakon.store.ledger.ledger import Ledger


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def author(server: FaultServer | str, **settings: Any) -> EndpointAuthor:
    """An endpoint author with short waits."""
    url = server if isinstance(server, str) else server.url
    quick: dict[str, Any] = {"timeout_s": 5.0, "retries": 2, "backoff_s": 0.01, "concurrency": 16}
    return EndpointAuthor(identity={"model": "m"}, model="m", urls=[url], **{**quick, **settings})


def request(prompt: str, i: int = 0, system: str = "") -> Request:
    """The i-th request, with this prompt."""
    messages = build_messages(prompt, system)
    return Request(key=f"{i:032x}", problem_id=f"p{i}", messages=messages, sample_index=0, seed=17, max_tokens=99)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until it holds, ten seconds at most."""
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def ask(asker: EndpointAuthor, *prompts: str, system: str = "") -> list[Reply | None]:
    """The reply to each prompt; None where the author put nothing."""
    payloads: dict[str, Payload] = {}

    def put(key: str, payload: Payload) -> None:
        assert key not in payloads, "put twice"
        payloads[key] = payload

    requests = [request(prompt, i, system) for i, prompt in enumerate(prompts)]
    asker.ask(requests, put)
    return [asker.parse(payloads[r.key]) if r.key in payloads else None for r in requests]


# -- replies -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_a_reply_comes_back_whole(server: FaultServer, api: str, stream: bool) -> None:
    (reply,) = ask(author(server, api=api, stream=stream), "Say four, please.", system="Be brief.")
    assert reply
    assert (reply.answer, reply.finish_reason, reply.error) == ("Say four, please.", "stop", None)
    assert (reply.prompt_tokens, reply.completion_tokens, reply.served_model) == (7, 5, "m")
    assert reply.latency_s
    assert reply.first_token_s is not None if stream else reply.first_token_s is None
    assert reply.reasoning == ("Hm." if api == "responses" else "")


@pytest.mark.parametrize("stream", [False, True])
def test_every_reasoning_format_comes_over_the_wire_and_out_of_the_ledger_as_two_texts(
    tmp_path: Path, stream: bool
) -> None:
    formats = {**{f"text: {name}": {"content": text} for name, text in TEXTS.items()}, **MESSAGES}
    asked = [request(name, i) for i, name in enumerate(formats)]
    with FaultServer(messages=formats) as server, Ledger.open(tmp_path / "calls.ledger") as ledger:
        asker = author(server, stream=stream)
        asker.ask(asked, ledger.put)
    with Ledger.open(tmp_path / "calls.ledger", readonly=True) as ledger:
        for each in asked:
            reply = asker.parse(ledger.get(each.key) or {})
            assert (reply.reasoning, reply.answer, reply.error) == (R, A, None), read_prompt(each.messages)


def test_the_payload_is_raw_and_says_how_it_was_asked(server: FaultServer) -> None:
    payloads: list[Payload] = []
    author(server, stream=True).ask([request("hello")], lambda key, payload: payloads.append(payload))
    (payload,) = payloads
    assert payload["max_tokens"] == 99
    assert payload["status"] == 200
    assert payload["body"]["choices"][0]["message"]["content"] == "hello"  # type: ignore[index]
    assert 0 < payload["ttft_s"] <= payload["latency_s"]  # type: ignore[operator]


def test_the_request_carries_the_sampling_and_the_seed_only_on_demand(server: FaultServer) -> None:
    sampling = {"temperature": 0.6, "top_k": 20, "extra": {"reasoning_effort": "high"}}
    ask(author(server, sampling=sampling), "ok", system="Be brief.")
    body = server.seen[-1]
    assert body == {
        "model": "m",
        "temperature": 0.6,
        "top_p": 1.0,
        "top_k": 20,
        "reasoning_effort": "high",
        "max_tokens": 99,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "ok"}],
    }
    ask(
        author(server, api="responses", send_seed=True, sampling={"temperature": None}),
        "ok",
        system="Be brief.",
    )
    body = server.seen[-1]
    assert body == {
        "model": "m",
        "top_p": 1.0,
        "seed": 17,
        "max_output_tokens": 99,
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": "ok"}],
    }


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_an_endpoint_is_asked_under_the_effort_that_its_requests_state(server: FaultServer, api: str) -> None:
    asker, payloads = author(server, api=api), dict[str, Payload]()
    planned = list_requests(
        [Problem.of("1+1?", "2")],
        asker.identity,
        template="Q: {problem}",
        sampling=Sampling(),
        samples=1,
        system="Reasoning effort: low",
    )
    asker.ask(planned, payloads.__setitem__)
    (body,) = server.seen
    user = {"role": "user", "content": "Q: 1+1?"}
    if api == "chat":
        assert body["messages"] == [{"role": "system", "content": "Reasoning effort: low"}, user]
    else:
        assert (body["instructions"], body["input"]) == ("Reasoning effort: low", [user])
    assert list(payloads) == [planned[0].key]


def test_a_conversation_of_many_turns_is_sent_whole(server: FaultServer) -> None:
    told = (Message("system", "a"), Message("user", "b"), Message("assistant", "c"), Message("user", "d"))
    one = replace(request(""), messages=told)
    author(server).ask([one], lambda key, payload: None)
    author(server, api="responses").ask([one], lambda key, payload: None)
    turns = [{"role": message.role, "content": message.content} for message in told]
    assert server.seen[0]["messages"] == turns
    assert (server.seen[1]["instructions"], server.seen[1]["input"]) == ("a", turns[1:])


def test_a_refusal_is_about_its_row_where_an_earlier_run_had_replies(server: FaultServer) -> None:
    payloads: dict[str, Payload] = {}
    with pytest.raises(AuthorError, match="403"):
        author(server).ask([request("status403")], payloads.__setitem__, has_answered=lambda: False)
    assert payloads == {}
    author(server).ask([request("status403")], payloads.__setitem__, has_answered=lambda: True)
    assert [payload["status"] for payload in payloads.values()] == [403]


@pytest.mark.parametrize("stream", [False, True])
def test_unusual_replies_are_replies(server: FaultServer, stream: bool) -> None:
    length, filtered, big, other = ask(author(server, stream=stream), "length", "filter", "big", "other-model")
    assert length
    assert (length.reasoning, length.answer, length.finish_reason) == ("on and on", "", "length")
    assert filtered
    assert (filtered.finish_reason, filtered.error) == ("content_filter", None)
    assert big
    assert len(big.answer) == 4_999_999
    assert other
    assert (other.answer, other.served_model) == ("4", "m-turbo-quantized")


def test_replies_that_utf8_cannot_carry_are_kept(server: FaultServer, tmp_path: Path) -> None:
    asker = author(server)
    with Ledger.open(tmp_path / "calls.ledger") as ledger:
        asker.ask([request("surrogate"), request("half a pair: \ud83d", 1)], ledger.put)
    with Ledger.open(tmp_path / "calls.ledger") as ledger:
        assert asker.parse(ledger.get(request("").key) or {}).answer == "\ud83d NaN"
        assert asker.parse(ledger.get(request("", 1).key) or {}).answer == "half a pair: \ud83d"


def test_a_mislabelled_reply_is_read(server: FaultServer) -> None:
    (reply,) = ask(author(server), "mislabelled")
    assert reply
    assert reply.answer == "4"


# -- one bad row ---------------------------------------------------------------------------------------------

TERMINAL = {
    "status307": "redirect",
    "status400": "bad_request",
    "status404": "not_found",
    "status413": "bad_request",
    "embedded": "bad_request",
}
TRANSIENT = {
    "status429": "rate_limited",
    "status500": "server",
    "status503": "overloaded",
    "hang": "timeout",
    "reset": "broken_off",
    "refuse": "connection",
    "truncated": "malformed",
    "html": "malformed",
    "empty": "malformed",
}


@pytest.mark.parametrize("stream", [False, True])
def test_one_bad_row_costs_one_row(server: FaultServer, stream: bool) -> None:
    faults = {**TERMINAL, **TRANSIENT}
    prompts = [*faults, *(f"fine {i}" for i in range(40))]
    asker = author(server, stream=stream, timeout_s=0.4, idle_timeout_s=0.3, retries=1)
    replies = ask(asker, *prompts)
    for prompt, reply in zip(prompts, replies, strict=True):
        assert reply, prompt
        if prompt in faults:
            assert reply.error, prompt
            assert reply.error.startswith(f"{faults[prompt]}: "), (prompt, reply.error)
        else:
            assert (reply.answer, reply.error) == (prompt, None)
    asked = collections.Counter(body["messages"][-1]["content"] for body in server.seen)
    assert all(asked[prompt] == 1 for prompt in TERMINAL)
    assert all(asked[prompt] >= 2 for prompt in TRANSIENT)


@pytest.mark.parametrize("stream", [False, True])
def test_transient_faults_pass(server: FaultServer, stream: bool) -> None:
    prompts = [f"{fault}*2 then fine" for fault in TRANSIENT]
    asker = author(server, stream=stream, timeout_s=0.4, idle_timeout_s=0.3, retries=2)
    for prompt, reply in zip(prompts, ask(asker, *prompts), strict=True):
        assert reply
        assert (reply.answer, reply.error) == (prompt, None)


def test_retry_after_is_obeyed(server: FaultServer) -> None:
    (reply,) = ask(author(server), "status429-0.4*1")
    assert reply
    assert reply.error is None
    first, second = server.times
    assert 0.4 <= second - first < 3.0


def test_the_cap_takes_the_name_that_the_server_wants(server: FaultServer) -> None:
    replies = ask(author(server), *(f"renamed-cap {i}" for i in range(10)))
    assert [reply.error for reply in replies if reply] == [None] * 10
    assert server.seen[-1]["max_completion_tokens"] == 99


# -- a bad whole ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "message"),
    [("status401", "key"), ("status403", "key"), ("status402", "credit"), ("status429-quota", "credit")],
)
def test_faults_of_the_whole_stop_at_once(server: FaultServer, fault: str, message: str) -> None:
    with pytest.raises(AuthorError, match=message):
        ask(author(server, concurrency=4), *[fault] * 100)
    assert len(server.seen) <= 8


def test_an_unknown_model_stops_before_it_costs_the_rows(server: FaultServer) -> None:
    with pytest.raises(AuthorError, match="the server says 404 about m"):
        ask(author(server, concurrency=4), *["status404"] * 50)
    assert len(server.seen) <= 8


def test_a_404_at_a_url_without_a_version_suggests_one(server: FaultServer) -> None:
    bare = server.url.removesuffix("/v1")
    with pytest.raises(AuthorError, match=f"try {server.url}, or else"):
        ask(author(bare), "fine")
    with pytest.raises(AuthorError) as raised:
        ask(author(server), *["status404"] * 5)
    assert "try " not in str(raised.value), "the path is as it should be"


def test_a_404_or_403_after_successes_costs_its_row_only(server: FaultServer) -> None:
    replies = ask(author(server, concurrency=1), "fine", *["status404"] * 4, "status403", "fine")
    assert [bool(reply and reply.error) for reply in replies] == [False, True, True, True, True, True, False]


@pytest.mark.parametrize("refusal", ["status403", "status404"])
def test_what_answered_once_is_not_wrong_as_a_whole_in_the_next_ask(server: FaultServer, refusal: str) -> None:
    asker = author(server, concurrency=1)
    assert ask(asker, "fine")[0]
    replies = ask(asker, *[refusal] * 4)
    assert [bool(reply and reply.error) for reply in replies] == [True] * 4


def test_a_404_before_the_first_success_costs_its_row_only(server: FaultServer) -> None:
    replies = ask(author(server, concurrency=1), "status404", "status404", "fine")
    assert [bool(reply and reply.error) for reply in replies] == [True, True, False]


def test_nobody_there_stops_at_once_and_names_the_url() -> None:
    with pytest.raises(AuthorError, match=r"http://127\.0\.0\.1:9/v1"):
        ask(author("http://127.0.0.1:9/v1"), *["ok"] * 20)


def test_a_failing_whole_stops_by_its_error_rate_and_keeps_the_replies(server: FaultServer) -> None:
    got: list[str] = []
    prompts = [*(f"fine {i}" for i in range(30)), *["status400"] * 500]
    asker = author(server, stop_after_errors=20, stop_after_error_rate=0.5)
    with pytest.raises(AuthorError, match="the server says 400") as raised:
        asker.ask([request(p, i) for i, p in enumerate(prompts)], lambda key, payload: got.append(key))
    assert "requests failed" in str(raised.value)
    assert len(server.seen) < 150
    assert len(got) == len(server.seen), "what was in flight came home and was kept"


def test_an_outage_is_waited_out(server: FaultServer) -> None:
    server.delay_s = 0.02
    replies: list[Reply | None] = []
    worker = threading.Thread(target=lambda: replies.extend(ask(author(server, concurrency=4), *["ok"] * 100)))
    worker.start()
    wait_for(lambda: len(server.seen) > 20)
    server.stop()
    time.sleep(0.15)
    server.start()
    worker.join(20)
    assert len(replies) == 100
    assert all(reply and reply.error is None for reply in replies)


def test_an_outage_without_end_stops_and_costs_no_row(server: FaultServer) -> None:
    server.delay_s = 0.02
    got: list[Payload] = []
    told: list[AskProgress] = []
    raised: list[BaseException] = []

    def work() -> None:
        try:
            asker = author(server, concurrency=4, outage_s=0.5, on_progress=told.append)
            asker.ask([request("ok", i) for i in range(1000)], lambda key, payload: got.append(payload))
        except AuthorError as error:
            raised.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    wait_for(lambda: len(got) > 10)
    server.stop()
    worker.join(20)
    assert "no connection for" in str(raised[0])
    assert got
    assert told[-1].silent_s > 0.5, "an outage is told while it lasts"
    assert not any("error" in payload for payload in got)


def test_a_full_disk_ends_the_run(server: FaultServer) -> None:
    def put(key: str, payload: Payload) -> None:
        raise StoreError("the disk is full", "room", "make some")

    server.delay_s = 0.1
    with pytest.raises(StoreError, match="disk is full"):
        author(server).ask([request("ok", i) for i in range(500)], put)
    assert len(server.seen) < 50


# -- the key -------------------------------------------------------------------------------------------------


def test_the_key_is_sent_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with FaultServer(key=KEY) as server:
        asker = author(server, api_key=KEY)
        payloads: list[Payload] = []
        asker.ask([request("leak"), request("ok", 1)], lambda key, payload: payloads.append(payload))
        wrong = author(server.url.replace("//", f"//user:{KEY.replace('/', '')}@"), api_key=KEY + "-wrong")
        with pytest.raises(AuthorError) as raised:
            ask(wrong, "ok")
        faults = wrong.check()
        assert asker.check() == []
    shown = [str(raised.value), repr(raised.value), repr(faults), repr(asker), str(payloads), caplog.text]
    assert len(payloads) == 2
    assert "Your header: Bearer ***" in str(payloads)
    assert faults
    assert "Incorrect" in shown[0]
    assert not any("sk-loopback" in text for text in shown)


# -- how many at once ----------------------------------------------------------------------------------------


def test_the_window_slides_without_barriers(server: FaultServer) -> None:
    server.delay_s = 0.02
    began = time.monotonic()
    ask(author(server, concurrency=10), "status500*1 late", *["ok"] * 100)
    assert server.most_at_once == 10
    assert time.monotonic() - began < 2.0


def test_it_asks_fewer_at_once_when_the_server_says_so() -> None:
    with FaultServer(delay_s=0.02, parallel=5) as server:
        seen: list[AskProgress] = []
        replies = ask(author(server, concurrency=64, on_progress=seen.append), *["ok"] * 200)
    assert all(reply and reply.error is None for reply in replies)
    assert min(p.limit for p in seen) < 20
    assert (seen[-1].done, seen[-1].errors, seen[-1].completion_tokens) == (200, 0, 1000)


def test_several_urls_share_the_load(server: FaultServer) -> None:
    server.delay_s = 0.02
    with FaultServer(delay_s=0.02) as second:
        asker = author(server, concurrency=8)
        asker.urls = [server.url, second.url, "http://127.0.0.1:9/v1"]
        replies = ask(asker, *["ok"] * 100)
    assert all(reply and reply.error is None for reply in replies)
    assert 40 <= len(server.seen) <= 60
    assert len(server.seen) + len(second.seen) == 100


def test_requests_per_minute_are_kept(server: FaultServer) -> None:
    ask(author(server, requests_per_minute=600), *["ok"] * 15)
    assert server.times[-1] - server.times[0] >= 0.4
    window = [sum(t <= u < t + 0.25 for u in server.times) for t in server.times]
    assert max(window) <= 13


def test_tokens_per_minute_are_kept(server: FaultServer) -> None:
    began = time.monotonic()
    ask(author(server, tokens_per_minute=6_000, concurrency=2), *["ok"] * 60)
    assert time.monotonic() - began >= (60 * 12 - 500) / 100


def test_stop_asks_nothing_new_and_keeps_what_is_in_flight(server: FaultServer) -> None:
    server.delay_s = 0.3
    stop = threading.Event()
    got: list[Payload] = []
    asker = author(server, concurrency=4, stop=stop)
    worker = threading.Thread(
        target=asker.ask,
        args=([request("ok", i) for i in range(100)], lambda key, payload: got.append(payload)),
    )
    worker.start()
    wait_for(lambda: len(server.seen) == 4)
    stop.set()
    worker.join(5)
    assert not worker.is_alive()
    assert len(got) == len(server.seen) == 4


# -- before the first paid request ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("models", "words"),
    [(("m",), ""), (("org/m",), ""), (404, ""), ((), ""), (500, ""), (("m2", "n"), "m2")],
)
def test_check_finds_a_missing_model(models: Any, words: str) -> None:
    with FaultServer(models=models) as server:
        faults = author(server).check()
    assert [words in str(fault) for fault in faults] == ([True] if words else [])


def test_check_finds_a_missing_server_and_a_bad_key() -> None:
    (fault,) = author("http://127.0.0.1:9/v1").check()
    assert fault.where == "http://127.0.0.1:9/v1"
    with FaultServer(key=KEY) as server:
        (fault,) = author(server).check()
        assert "there is no key" in fault.found
        assert author(server, api_key=KEY).check() == []


def test_a_proxy_from_the_environment_is_used(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    (reply,) = ask(author("http://model.invalid/v1"), "through the proxy")
    assert reply
    assert reply.answer == "through the proxy"


def test_it_works_inside_a_running_loop(server: FaultServer) -> None:
    async def cell() -> list[Reply | None]:
        return ask(author(server), "from a notebook")

    (reply,) = asyncio.run(cell())
    assert reply
    assert reply.answer == "from a notebook"
