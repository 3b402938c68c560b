"""Servers that Lakon starts: a proper one is asked, one with a fault is told before anything counts, and all end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")

from lakon.backends.checkpoint.tokens import load_prompting
from lakon.backends.servers import pool as pool_module
from lakon.backends.servers.author import ServedCheckpoint
from lakon.backends.servers.commands import ServerSettings, make_command, read_served_name, show_command
from lakon.backends.servers.pool import ServerPool
from lakon.backends.servers.process import read_end_of_log
from lakon.core.errors import AuthorError, InputError, LakonError, RunStopped
from lakon.core.messages import Message, build_messages
from lakon.core.protocols import Payload, Request
from lakon.miniature.student import base_path

SCRIPT = Path(__file__).with_name("faulty_server.py")
MODEL = str(base_path())


def requests(count: int, max_tokens: int = 64) -> list[Request]:
    return [
        Request(
            key=f"k{n}",
            problem_id=f"p{n}",
            messages=build_messages(f"Eli has {n} pens. Eli finds 2. How many pens?"),
            sample_index=0,
            seed=n,
            max_tokens=max_tokens,
        )
        for n in range(count)
    ]


class Place:
    """A pool of faulty servers in a folder, and what was asked of them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seen = folder, folder / "seen.jsonl"
        self.stop = threading.Event()
        self.pools: list[ServerPool] = []

    def author(self, fault: str, **settings: Any) -> ServedCheckpoint:
        words = (sys.executable, str(SCRIPT), "{port}", "{name}", fault, str(self.seen))
        stated = {"kind": "command", "command": words, "start_s": 20.0, "concurrency": 4, **settings}
        made = ServerSettings(**stated)
        pool = ServerPool(made, folder=self.folder / "logs", n_devices=0, lend=lambda n, stop: nullcontext(()))
        self.pools.append(pool)
        rates: dict[str, Any] = {"temperature": 0.7, "top_p": 0.9, "top_k": None}
        return ServedCheckpoint(MODEL, {"who": 1}, pool=pool, settings=made, stop=self.stop, **rates)

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.seen.read_text().splitlines()]

    def pids(self) -> set[int]:
        return {body["pid"] for body in self.bodies()} if self.seen.exists() else set()

    def close(self) -> None:
        for pool in self.pools:
            pool.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    try:
        yield made
    finally:
        made.close()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in made.pids()), "a server is left")


def wait_until(condition: Callable[[], bool], words: str, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, words
        time.sleep(0.1)


def ask(author: ServedCheckpoint, wanted: list[Request]) -> dict[str, Payload]:
    replies: dict[str, Payload] = {}
    author.ask(wanted, replies.__setitem__)
    return replies


def test_a_proper_server_is_tested_and_asked_with_the_tokens_of_training(place: Place):
    author = place.author("none")
    wanted = requests(9)
    replies = ask(author, wanted)
    assert set(replies) == {request.key for request in wanted}
    encode = load_prompting(MODEL).encode
    of_the_run = [body for body in place.bodies() if body["temperature"] == 0.7]
    assert sorted(body["prompt"] for body in of_the_run) == sorted(encode(request.messages) for request in wanted)
    assert {(body["top_p"], body["max_tokens"], tuple(body["stop_token_ids"])) for body in of_the_run} == {
        (0.9, 64, load_prompting(MODEL).end_ids)
    }
    assert not any("seed" in body for body in of_the_run)
    reply = author.parse(replies["k0"])
    assert reply.answer
    assert reply.completion_tokens is not None
    assert author.facts["server's version"] == "0.1"
    assert "temperature is obeyed" in author.facts["self-test"]
    ask(author, requests(3))
    n_tests = sum(body["temperature"] == 0 for body in place.bodies())
    ask(author, requests(3))
    assert sum(body["temperature"] == 0 for body in place.bodies()) == n_tests, "a server is tested once"


def test_seeds_are_sent_where_they_are_asked_for(place: Place):
    ask(place.author("none", seeded=True), requests(9))
    assert {body["seed"] for body in place.bodies() if body["temperature"] == 0.7} == set(range(9))


def test_the_errors_of_a_log_are_told_and_not_what_comes_after_them(tmp_path: Path):
    log = tmp_path / "log"
    lines = ["INFO up", "(Worker) ERROR RuntimeError: CPU Generator does not use offset", "EngineDeadError: see above"]
    log.write_text("\n".join([*lines, lines[1], *["leaked type"] * 900]))
    assert read_end_of_log(log) == "RuntimeError: CPU Generator does not use offset; EngineDeadError: see above"
    log.write_text("no such model: out of memory")
    assert read_end_of_log(log) == "no such model: out of memory"
    assert read_end_of_log(tmp_path / "none") == "nothing"


def test_a_turn_that_was_begun_is_sent_as_far_as_it_has_come(place: Place):
    (first,) = requests(1)
    begun = Request(
        key="begun",
        problem_id="p",
        messages=(*first.messages, Message("assistant", "<think>\n1+1")),
        sample_index=0,
        seed=1,
        max_tokens=5,
    )
    ask(place.author("none"), [begun])
    sent = [body["prompt"] for body in place.bodies() if body["temperature"] == 0.7]
    assert sent == [load_prompting(MODEL).encode(begun.messages)]
    assert len(sent[0]) > len(load_prompting(MODEL).encode(first.messages))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("ignores-temperature", "temperature is obeyed"),
        ("greedy-differs", "temperature 0 repeats"),
        ("adds-a-token", "prompts have the trained tokens"),
        ("over-cap", "max_tokens is obeyed"),
        ("never-ends", "the end token stops"),
        ("answers-as-another", "'another' answers"),
    ],
)
def test_a_server_that_does_not_obey_is_refused_before_anything_counts(place: Place, fault: str, words: str):
    author, replies = place.author(fault), dict[str, Payload]()
    with pytest.raises(AuthorError) as told:
        author.ask(requests(5), replies.__setitem__)
    assert words in told.value.fault.found
    assert all(told.value.fault[1:])
    assert replies == {}
    assert not [body for body in place.bodies() if body["temperature"] == 0.7]


def test_a_server_with_another_model_is_told(place: Place):
    with pytest.raises(LakonError, match="the server has another"):
        ask(place.author("other-model"), requests(2))


def test_a_server_that_ends_at_its_start_is_told_with_the_end_of_its_log(place: Place):
    with pytest.raises(AuthorError, match=r"exit code 2 before it answered.*no such model: out of memory"):
        ask(place.author("ends-at-start"), requests(2))


def test_a_server_that_never_answers_is_given_up(place: Place):
    with pytest.raises(AuthorError, match="did not answer within 2 s"):
        ask(place.author("hangs", start_s=2.0), requests(2))


def test_a_program_that_is_not_there_is_told(place: Place):
    with pytest.raises(InputError, match="cannot be started"):
        ask(place.author("none", command=("no-such-server", "{port}")), requests(2))


def test_a_server_that_dies_is_started_again_and_every_request_is_answered(place: Place):
    replies = ask(place.author("dies-once"), requests(40))
    assert len(replies) == 40
    assert len(place.pids()) == 2
    assert not any("error" in reply for reply in replies.values())


def test_a_server_that_dies_again_ends_the_step_and_keeps_what_came(place: Place):
    replies: dict[str, Payload] = {}
    with pytest.raises(AuthorError, match="the server died 2 times"):
        place.author("dies-always").ask(requests(400), replies.__setitem__)
    assert 0 < len(replies) < 400


def test_a_stop_ends_the_wait_for_a_server(place: Place):
    threading.Timer(1.0, place.stop.set).start()
    with pytest.raises(RunStopped):
        ask(place.author("hangs"), requests(2))


def test_a_prompt_that_fills_the_context_is_cut_off_and_costs_nothing(place: Place):
    (long,) = requests(1)
    filled = Request(
        key="long", problem_id="p", messages=build_messages("12 " * 600), sample_index=0, seed=1, max_tokens=9
    )
    author = place.author("none")
    replies = ask(author, [long, filled])
    assert author.parse(replies["long"]).finish_reason == "length"
    assert author.parse(replies["long"]).answer == ""
    assert author.parse(replies["k0"]).answer


def test_servers_that_nobody_asks_end_by_themselves(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pool_module, "IDLE_S", 0.5)
    ask(place.author("none"), requests(2))
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in place.pids()), "an idle server is left")


def test_a_second_model_takes_the_place_of_an_idle_one(place: Place, tmp_path: Path):
    author = place.author("none")
    ask(author, requests(2))
    (first,) = place.pids()
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in Path(MODEL).iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    with place.pools[0].lease(str(copy), place.stop, lambda seconds: None) as other:
        assert other.served.name == "copy"
        assert not Path(f"/proc/{first}").exists()


def test_a_server_ends_when_the_run_that_started_it_is_killed(tmp_path: Path):
    owner = f"""
import sys, threading
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_servers import Place, ask, requests
place = Place(Path({str(tmp_path)!r}))
ask(place.author("none"), requests(2))
print("asked", flush=True)
threading.Event().wait()
"""
    run = subprocess.Popen([sys.executable, "-c", owner], stdout=subprocess.PIPE)
    assert run.stdout is not None
    assert run.stdout.readline() == b"asked\n"
    pids = {json.loads(line)["pid"] for line in (tmp_path / "seen.jsonl").read_text().splitlines()}
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    run.stdout.close()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "a server outlives its run")


def test_commands_serve_on_the_loopback_and_adapters_on_their_base(tmp_path: Path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "adapter_config.json").write_text('{"base_model_name_or_path": "a/base", "r": 32}')
    served = read_served_name(str(tmp_path / "model"))
    words = make_command(ServerSettings(kind="vllm", tensor_parallel=4, max_length=32_768), served, 5000)
    text = " ".join(words)
    assert "--model a/base" in text
    assert f"--lora-modules {tmp_path.name}={tmp_path / 'model'} --max-lora-rank 32" in text
    assert "--host 127.0.0.1 --port 5000" in text
    assert "--tensor-parallel-size 4 --max-model-len 32768" in text
    assert "/" not in show_command(ServerSettings(kind="vllm", python="/somewhere/bin/python")).split()[0]
    plain = make_command(ServerSettings(kind="vllm"), read_served_name(MODEL), 1)
    assert plain[-2:] == ["--dtype", "float32"], "vLLM would round float32 weights"
    assert "--host 127.0.0.1" in " ".join(make_command(ServerSettings(kind="sglang"), served, 1))
