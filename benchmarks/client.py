"""How fast the endpoint client is: beside a bare aiohttp loop, against one local server, in one run.

    python benchmarks/client.py            3,000 requests, 256 at once, 200 ms, 2 KB replies: ratios
    python benchmarks/client.py --large    100,000 requests at 0 ms with 60 KB replies, killed at half and resumed
    python benchmarks/client.py --kill 10  killed (kill -9) at ten random moments: what is paid twice?

Every client runs in a process of its own; CPU seconds include its start, requests/s do not. Ours parses, counts
and keeps every reply in a ledger on disk; the bare loop keeps nothing. Peers that are not in this environment
(openai, bespokelabs-curator) run under the interpreter that `--peers` names:

    python -m venv peers && peers/bin/pip install openai bespokelabs-curator
    python benchmarks/client.py --peers peers/bin/python
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import importlib
import json
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import types
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

CLIENTS = {
    "bare aiohttp": "aiohttp",
    "lakon": "lakon.backends.endpoint.author",
    "openai SDK": "openai",
    "curator": "bespokelabs.curator",
}
"""Client to the module that it takes."""
OURS = ("bare aiohttp", "lakon")
MODEL = "m"
MARK = struct.Struct("<16sd")
"""A reply's key, and when it was put."""
WORDS = "Let x be the number of apples, so that 2x + 3 = 11 and hence x = 4; check: 8 + 3 = 11. "


# -- the server ----------------------------------------------------------------------------------------------


def reply_body(n_bytes: int, varied: bool) -> bytes:
    """A chat completion of about `n_bytes`; varied text compresses as real traces do, to about a third."""
    rng = random.Random(0)
    words = [f"{rng.choice(WORDS.split())}{rng.randrange(100)}" for _ in range(n_bytes // 5)]
    text = (" ".join(words) if varied else WORDS * (n_bytes // len(WORDS) + 1))[: max(0, n_bytes - 350)]
    message = {"role": "assistant", "content": f"<think>\n{text}\n</think>\n\nThe answer is 4."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 20, "completion_tokens": n_bytes // 4, "total_tokens": 20 + n_bytes // 4}
    return json.dumps(
        {"id": "c", "object": "chat.completion", "model": MODEL, "choices": [choice], "usage": usage}
    ).encode()


class Server(asyncio.Protocol):
    """HTTP at its barest, so that the server is not what is measured; it counts requests and replies."""

    body = b""
    latency_s = 0.0
    asked: ClassVar[collections.Counter[str]] = collections.Counter()
    answered: ClassVar[collections.Counter[str]] = collections.Counter()
    first_at: ClassVar[float | None] = None
    """When the first request since the last look at the clock came, by the machine's monotonic clock."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        if head.startswith(b"GET"):
            self.buffer = rest
            self.tell(clock=b"/clock" in head)
            return
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
        if len(rest) >= length:
            self.buffer = rest[length:]
            messages = json.loads(rest[:length])["messages"]  # curator first asks with none, for the limits
            prompt = messages[-1]["content"] if messages else ""
            self.asked[prompt] += 1
            Server.first_at = Server.first_at or time.monotonic()
            asyncio.get_running_loop().call_later(self.latency_s, self.answer, prompt)

    def tell(self, *, clock: bool) -> None:
        """The two counters; or the clock, which begins anew, and the number of replies."""
        facts: list[Any] = [self.first_at, self.answered.total()] if clock else [self.asked, self.answered]
        if clock:
            Server.first_at = None
        self.send(json.dumps(facts).encode())

    def answer(self, prompt: str) -> None:
        """Reply, unless the client is gone."""
        if not self.transport.is_closing():
            self.answered[prompt] += 1
            self.send(self.body)

    def send(self, body: bytes) -> None:
        """One response."""
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)


async def serve(latency_s: float, n_bytes: int, varied: bool) -> None:
    """Serve until killed; the port is the first line of stdout."""
    Server.body, Server.latency_s = reply_body(n_bytes, varied), latency_s
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def serving(latency_s: float, n_bytes: int, *, varied: bool = False) -> Iterator[str]:
    """A server in a process of its own; its base URL."""
    arguments = ["--serve", f"{latency_s}", f"{n_bytes}", f"{int(varied)}"]
    process = subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def counted(url: str) -> tuple[collections.Counter[str], collections.Counter[str]]:
    """Requests and replies by prompt, as the server saw them."""
    with urllib.request.urlopen(f"{url}/counts") as response:
        asked, answered = json.load(response)
    return collections.Counter(asked), collections.Counter(answered)


def clock(url: str) -> tuple[float | None, int]:
    """When the first request since the last call came, and how many replies there were in all."""
    with urllib.request.urlopen(f"{url}/clock") as response:
        first_at, answered = json.load(response)
    return first_at, answered


# -- the clients ---------------------------------------------------------------------------------------------


def prompt(i: int) -> str:
    """The i-th prompt."""
    return f"Problem {i}: Ann has 2x + 3 apples, which is 11. What is x?"


async def bare(url: str, n: int, concurrency: int) -> None:
    """The floor: keep-alive, a sliding window, JSON in and out, and nothing else."""
    import aiohttp

    todo = iter(range(n))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def work() -> None:
            for i in todo:
                body = {
                    "model": MODEL,
                    "messages": [{"role": "user", "content": prompt(i)}],
                    "max_tokens": 4096,
                }
                async with session.post(f"{url}/chat/completions", json=body) as response:
                    reply = await response.json()
                assert reply["choices"][0]["message"]["content"]

        await asyncio.gather(*(work() for _ in range(concurrency)))


async def sdk(url: str, n: int, concurrency: int) -> None:
    """The openai SDK in the same window."""
    openai: Any = importlib.import_module("openai")
    todo = iter(range(n))
    async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:

        async def work() -> None:
            for i in todo:
                messages: Any = [{"role": "user", "content": prompt(i)}]
                reply = await client.chat.completions.create(model=MODEL, messages=messages, max_tokens=4096)
                assert reply.choices[0].message.content

        await asyncio.gather(*(work() for _ in range(concurrency)))


def curator(url: str, n: int, concurrency: int, folder: Path) -> None:
    """Bespoke curator, with its rate limits out of the way and its cache in `folder`; its tokenizer, which would be
    downloaded, is replaced by one that splits at spaces and costs next to nothing."""
    os.environ |= {"CURATOR_CACHE_DIR": str(folder), "TELEMETRY_ENABLED": "false", "OPENAI_API_KEY": "none"}
    os.environ |= {"HF_DATASETS_CACHE": str(folder / "datasets"), "CURATOR_DISABLE_RICH_DISPLAY": "1"}
    tiktoken: Any = importlib.import_module("tiktoken")
    tiktoken.get_encoding = tiktoken.encoding_for_model = lambda name: types.SimpleNamespace(encode=str.split)
    kit: Any = importlib.import_module("bespokelabs.curator")

    class Solver(kit.LLM):
        def prompt(self, row: dict[str, str]) -> str:
            return row["prompt"]

        def parse(self, row: dict[str, str], response: str) -> dict[str, str]:
            return {"prompt": row["prompt"], "reply": response}

    limits = {"max_requests_per_minute": 10**7, "max_tokens_per_minute": 10**11}
    settings = {"base_url": url, "max_concurrent_requests": concurrency, **limits}
    done = Solver(model_name="gpt-4o-mini", backend="openai", backend_params=settings)(
        [{"prompt": prompt(i)} for i in range(n)]
    )
    assert len(getattr(done, "dataset", done)) == n


def ours(url: str, n: int, concurrency: int, path: Path) -> dict[str, float]:
    """Lakon with everything on: ledger, parsing, accounting. Asks what the ledger does not have yet.

    Requests are made as the window wants them, so that the memory is the client's and the ledger's, not the problems'.
    """
    from lakon.backends.endpoint.author import EndpointAuthor
    from lakon.core.digest import digest
    from lakon.core.messages import build_messages
    from lakon.core.protocols import Payload, Request
    from lakon.store.ledger.ledger import Ledger

    began = time.perf_counter()
    author = EndpointAuthor(identity={"model": MODEL}, model=MODEL, urls=[url], concurrency=concurrency)
    marks = path.with_suffix(".marks").open("ab", buffering=0) if kept_marks(path) else None
    n_tokens = n_done = 0
    early_mb = 0.0
    with Ledger.open(path) as ledger:
        opened_s = time.perf_counter() - began
        owed = [i for i in range(n) if digest([i]) not in ledger]
        ready_s = time.perf_counter() - began
        batches = (owed[at : at + 1000] for at in range(0, len(owed), 1000))

        def more() -> list[Request] | None:
            return [
                Request(
                    key=digest([i]),
                    problem_id=f"p{i}",
                    messages=build_messages(prompt(i)),
                    sample_index=0,
                    seed=i,
                    max_tokens=4096,
                )
                for i in next(batches, ())
            ] or None

        def keep(key: str, payload: Payload) -> None:
            nonlocal n_tokens, n_done, early_mb
            reply = author.parse(payload)
            assert reply.answer
            ledger.put(key, payload)
            if marks:
                marks.write(MARK.pack(bytes.fromhex(key), time.monotonic()))
            n_tokens, n_done = n_tokens + (reply.completion_tokens or 0), n_done + 1
            if n_done == len(owed) // 20:
                early_mb = peak_mb()

        author.ask_live(more, keep)
        assert len(ledger) == n
    return {"opened_s": opened_s, "ready_s": ready_s, "early_mb": early_mb}


def kept_marks(path: Path) -> bool:
    """Whether each put is to be marked in a file beside the ledger, which the system keeps after a kill."""
    return path.with_suffix(".marks").exists()


def peak_mb() -> float:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child(name: str, url: str, n: int, concurrency: int, path: str) -> None:
    """Run one client and print what it took as JSON."""
    importlib.import_module(CLIENTS[name])
    began = time.perf_counter()
    facts: dict[str, float] = {}
    if name == "lakon":
        facts = ours(url, n, concurrency, Path(path))
    elif name == "curator":
        curator(url, n, concurrency, Path(path).with_suffix(".curator"))
    else:
        asyncio.run((bare if name == "bare aiohttp" else sdk)(url, n, concurrency))
    used = resource.getrusage(resource.RUSAGE_SELF)
    facts["seconds"] = time.perf_counter() - began
    facts["cpu_s"] = used.ru_utime + used.ru_stime
    facts["rss_mb"] = peak_mb()
    print(json.dumps(facts))


def start(
    name: str, url: str, n: int, concurrency: int, path: Path, python: str = sys.executable
) -> subprocess.Popen[str]:
    """A client in a process of its own; what it says beside its result is not shown."""
    arguments = ["--child", name, url, f"{n}", f"{concurrency}", f"{path}"]
    quiet = None if name in OURS else subprocess.DEVNULL
    return subprocess.Popen([python, __file__, *arguments], stdout=subprocess.PIPE, stderr=quiet, text=True)


def has(python: str, module: str) -> bool:
    """Whether an interpreter can import a module."""
    return not subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode


def finish(process: subprocess.Popen[str]) -> dict[str, float]:
    """What the client printed. Raises when it failed."""
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"a client ended with {process.returncode}")
    return json.loads(out.splitlines()[-1])


# -- the three measurements ----------------------------------------------------------------------------------


def compare(n: int, concurrency: int, latency_s: float, n_bytes: int, rounds: int, peers: str) -> None:
    """Each client in turn, `rounds` times; the best round of each is shown."""
    pythons = {name: sys.executable if name in OURS else peers for name in CLIENTS}
    names = [name for name, module in CLIENTS.items() if name in OURS or has(pythons[name], module)]
    results: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    with serving(latency_s, n_bytes) as url, tempfile.TemporaryDirectory() as folder:
        for i in range(rounds):
            for name in names:
                path = Path(folder) / f"{i}.ledger"
                results[name].append(finish(start(name, url, n, concurrency, path, pythons[name])))
    print(f"{n:,} requests, {concurrency} at once, {latency_s * 1000:.0f} ms, {n_bytes:,} byte replies")
    print(f"{'client':14} {'requests/s':>10} {'of bare':>8} {'CPU s/1,000':>12} {'of bare':>8} {'RSS MB':>8}")
    base_rate = base_cpu = 0.0
    for name in names:
        rate = max(n / result["seconds"] for result in results[name])
        cpu = min(result["cpu_s"] for result in results[name]) / n * 1000
        rss = max(result["rss_mb"] for result in results[name])
        base_rate, base_cpu = base_rate or rate, base_cpu or cpu
        ratios = rate / base_rate, cpu / base_cpu
        print(f"{name:14} {rate:10,.0f} {ratios[0]:8.2f} {cpu:12.3f} {ratios[1]:8.2f} {rss:8.0f}")


def large(n: int, concurrency: int, n_bytes: int) -> None:
    """Many large replies as fast as they come: in one go, and killed at half and resumed; then the ledger alone."""
    print(f"{n:,} replies of {n_bytes:,} bytes, {concurrency} at once", flush=True)
    with serving(0.0, n_bytes, varied=True) as url, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.ledger"
        facts = finish(start("lakon", url, n, concurrency, path))
        size = path.stat().st_size
        path.unlink()
        print(f"  {n / facts['seconds']:,.0f} requests/s, {facts['cpu_s'] / n * 1000:.2f} CPU s per 1,000")
        print(f"  peak RSS {facts['early_mb']:.0f} MB after a twentieth, {facts['rss_mb']:.0f} MB at the end")
        rate = size / facts["seconds"]
        print(f"  a ledger of {size / 1e6:,.0f} MB, written at {rate / 1e6:.0f} MB/s", flush=True)
        process = start("lakon", url, n, concurrency, path)
        half = clock(url)[1] + n // 2
        while clock(url)[1] < half and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        clock(url)
        began = time.monotonic()
        facts = finish(start("lakon", url, n, concurrency, path))
        first_at, sent = clock(url)
        assert first_at, "the resumed run asked nothing"
        print(f"  killed at half, resumed: opened after {facts['opened_s']:.2f} s and knew what is owed after", end=" ")
        print(f"{facts['ready_s']:.2f} s;")
        print(f"  its first request reached the server {first_at - began:.2f} s after the process was started;")
        print(f"  {facts['rss_mb']:.0f} MB at the end, {sent - 2 * n} replies given twice", flush=True)
        path.unlink()
        disk(path, size, n_bytes)


def disk(path: Path, size: int, n_bytes: int) -> None:
    """The ledger's own speed with nobody else at work, beside a plain write and fsync of as many bytes."""
    from lakon.core.digest import digest
    from lakon.store.ledger.ledger import Ledger

    block = os.urandom(1 << 20)
    began = time.monotonic()
    with path.open("wb", buffering=0) as file:
        for _ in range(size >> 20):
            file.write(block)
        os.fsync(file.fileno())
    plain = (size >> 20 << 20) / (time.monotonic() - began)
    path.unlink()
    payload = {"body": json.loads(reply_body(n_bytes, varied=True))}
    n = 5000
    began = time.monotonic()
    with Ledger.open(path) as ledger:
        for i in range(n):
            ledger.put(digest([i]), payload)
    took = time.monotonic() - began
    packed, whole = path.stat().st_size / took, n * n_bytes / took
    print(f"  the ledger alone takes {whole / 1e6:.0f} MB/s of replies and writes {packed / 1e6:.0f} MB/s;")
    print(f"  this disk takes {plain / 1e6:.0f} MB/s written plainly and synced once")


def killed(n: int, concurrency: int, latency_s: float, n_bytes: int, kills: int, seed: int) -> None:
    """Kill the client at random moments until it has been killed `kills` times, then let it finish."""
    from lakon.store.ledger.ledger import Ledger

    rng = random.Random(seed)
    moments = sorted(rng.sample(range(1, n), kills))
    n_lost, ages = [0], [0.0]
    with serving(latency_s, n_bytes) as url, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "killed.ledger"
        marks = path.with_suffix(".marks")
        marks.touch()
        n_before = 0
        for moment in moments:
            process = start("lakon", url, n, concurrency, path)
            while len(counted(url)[1]) < moment and process.poll() is None:
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            with Ledger.open(path, readonly=True) as ledger:
                put = [(key.hex(), at) for key, at in MARK.iter_unpack(marks.read_bytes()[n_before * MARK.size :])]
                lost = [at for key, at in put if key not in ledger]
            n_before += len(put)
            n_lost.append(len(lost))
            ages.append(put[-1][1] - lost[0] if lost else 0.0)
        finish(start("lakon", url, n, concurrency, path))
        with Ledger.open(path) as ledger:
            n_kept, n_damaged, n_doubled = len(ledger), ledger.damaged, ledger.compact()
        n_asked = sum(counted(url)[0].values())
        n_put = marks.stat().st_size // MARK.size
    print(f"killed {kills} times in {n:,} requests, {concurrency} at once")
    print(f"  lost {n - n_kept}, {n_doubled} bytes of replies stored twice, {n_damaged} damaged bytes left")
    in_flight, waiting = n_asked - n_put, n_put - n
    oldest, usual = max(ages) * 1000, median(ages[1:]) * 1000
    print(f"  asked again: {in_flight} in flight when killed ({in_flight / kills:.0f} a kill),")
    print(f"  and {waiting} received but not yet on the disk ({waiting / kills:.1f} a kill, {max(n_lost)} at most),")
    print(f"  the oldest of them {oldest:.0f} ms before the last; {usual:.0f} ms at the median kill")
    if n_kept != n:
        raise SystemExit("replies were lost")


def main() -> None:
    """Read the arguments and measure."""
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(float(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "1"))
        return
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), sys.argv[6])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int)
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--latency-ms", type=float, default=200)
    parser.add_argument("--bytes", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON", help="the interpreter that has the peers")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--kill", type=int, metavar="TIMES")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.large:
        large(given.requests or 100_000, given.concurrency, given.bytes or 60_000)
    elif given.kill:
        n_bytes = given.bytes or 2048
        killed(
            given.requests or 3000,
            given.concurrency,
            given.latency_ms / 1000,
            n_bytes,
            given.kill,
            given.seed,
        )
    else:
        n_bytes = given.bytes or 2048
        compare(given.requests or 3000, given.concurrency, given.latency_ms / 1000, n_bytes, given.rounds, given.peers)


if __name__ == "__main__":
    main()
