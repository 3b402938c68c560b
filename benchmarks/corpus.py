"""How much memory and time a corpus takes from source to arms, on recorded traces shaped like the paper's.

Usage: python benchmarks/corpus.py [--problems 3000 30000] [--folder DIR] [--peer] [--tokenizer words]. Two recorded
teachers with lengths log-normal around 15,500 and 3,500 tokens; `api.run` from the file to two arms under two matching
rules. Peak memory is sampled over the run's process and its children: the largest one, and their sum. Processor time
is given for each step, so that what the peer does not do (profiles, statistics, the report) can be told apart; what
helper threads of a step take is in the total alone. `--peer` does the same with `datasets` in a process of its own:
load_dataset, map (tokens), filter (answer equals reference). 3,000 problems make 0.24 GB of text, 30,000 ten times
that; 300,000 need 100 GB of disk. With two sizes, the ratios of the second to the first are printed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakon.store.artifacts import Artifact
    from lakon.store.step import Step

Figures = dict[str, float]

STUDY = """
name = "corpus"
tokenizer = "{tokenizer}"
[problems]
kind = "jsonl"
path = "problems.jsonl"
[teachers.r1]
kind = "recorded"
path = "r1.jsonl"
text_field = "text"
[teachers.gpt-oss]
kind = "recorded"
path = "gpt-oss.jsonl"
text_field = "text"
[curate]
match = ["problems", "tokens"]
token_budget = "smallest"
[arms.r1]
teacher = "r1"
[arms.gpt-oss]
teacher = "gpt-oss"
"""

TOKENS = {"r1": 15_500, "gpt-oss": 3_500}
SPREAD = 0.6
"""Standard deviation of the logarithm of a trace's length."""
WORDS = (
    *("so", "we", "have", "the", "sum", "of", "all", "x", "and", "then", "n", "equals", "product", "which", "gives"),
    *("us", "another", "case", "to", "check", "because", "this", "must", "hold", "for", "every", "k", "therefore"),
    *("let", "compute", "it", "again", "see", "whether", "result", "is", "even", "or", "odd", "wait", "maybe"),
)


def main() -> None:
    """Make the source, run in a process of its own, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, nargs="+", default=[3_000])
    parser.add_argument("--folder", type=Path, help="where the source and the store lie; else a temporary one")
    parser.add_argument("--tokenizer", default="words")
    parser.add_argument("--peer", action="store_true", help="do it with `datasets` too")
    parser.add_argument("--part", choices=("ours", "peer"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        {"ours": ours, "peer": peer}[options.part](options.folder)
        return
    before: dict[str, Figures] = {}
    for n in options.problems:
        with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
            folder = Path(temporary)
            n_bytes = make(folder, n, options.tokenizer)
            print(f"{n:,} problems, {n_bytes / 1e9:.2f} GB of traces", flush=True)
            for part in ("ours", *(["peer"] if options.peer else [])):
                command = [sys.executable, __file__, "--part", part, "--folder", str(folder)]
                subprocess.run(command, check=True)
                found = json.loads((folder / f"{part}.json").read_text(encoding="utf-8")) | {"bytes": n_bytes}
                print(f"  {part}: {n_bytes / found['seconds'] / 1e6:.0f} MB/s")
                if part in before:
                    ratios = ", ".join(f"{key} {found[key] / value:.2f}x" for key, value in before[part].items())
                    print(f"  {part}, against the size before: {ratios}", flush=True)
                before[part] = found


def make(folder: Path, n: int, tokenizer: str) -> int:
    """Problems and traces of both teachers; one answer in twelve is wrong. Returns the bytes of the traces."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    (folder / "study.toml").write_text(STUDY.format(tokenizer=tokenizer), encoding="utf-8")
    with (folder / "problems.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"problem": f"Problem {i}: find x.", "answer": str(i)}) + "\n" for i in range(n))
    for name, mean in TOKENS.items():
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for i in range(n):
                answer = i if rng.random() > 1 / 12 else i + 1
                text = f"<think>\n{reasoning(rng, mean)}\n</think>\nSo it is $\\boxed{{{answer}}}$."
                file.write(json.dumps({"problem": f"Problem {i}: find x.", "text": text}) + "\n")
    return sum((folder / f"{name}.jsonl").stat().st_size for name in TOKENS)


def reasoning(rng: random.Random, mean: int) -> str:
    """Sentences of about four characters a token; a log-normal number of them, with `mean` tokens on average."""
    chars = 4 * mean * rng.lognormvariate(-(SPREAD**2) / 2, SPREAD)
    block = " ".join(rng.choices(WORDS, k=500)) + f" = {rng.random():.6f}.\n\n"
    return (block * (int(chars / len(block)) + 1))[: int(chars)]


def ours(folder: Path) -> None:
    """From the file to arms, verdicts, screens and the report."""
    from lakon import api
    from lakon.core import memory
    from lakon.store import runner

    memory.limit_heaps()  # as the command line does
    taken: dict[str, float] = {}
    execute = runner._Run._execute  # pyright: ignore[reportPrivateUsage]

    def timed(run: Any, step: Step, key: str, contents: dict[str, str]) -> Artifact:
        began = time.thread_time()
        try:
            return execute(run, step, key, contents)
        finally:
            taken[step.name] = time.thread_time() - began

    runner._Run._execute = timed  # pyright: ignore[reportPrivateUsage]
    watch = Watch()
    began = time.perf_counter()
    done = api.run(folder / "study.toml", store=folder / "store", reports=folder / "reports")
    seconds = time.perf_counter() - began
    for state in api.plan(folder / "study.toml", store=folder / "store"):
        if state.step.stage == "curate" and state.artifact is not None:
            print(f"  {state.step.name}: {state.artifact.manifest.rows}")
    for name, cpu in sorted(taken.items(), key=lambda item: -item[1]):
        print(f"  {cpu:6.2f} CPU s  {name}")
    watch.report(folder / "ours.json", f"lakon, source to report ({len(done.executed)} steps)", seconds)


def peer(folder: Path) -> None:
    """Load, count tokens, keep what is right, pair, write: in the way of the library's documentation."""
    import regex
    from datasets import load_dataset

    watch = Watch()
    began = time.perf_counter()
    piece = regex.compile(r"[\p{L}\p{M}]+|\p{N}|[^\s\p{L}\p{M}\p{N}]+")
    box = regex.compile(r"\\boxed\{(.*?)\}")
    cache = str(folder / "cache")
    problems = load_dataset("json", data_files=str(folder / "problems.jsonl"), split="train", cache_dir=cache)
    references = dict(zip(problems["problem"], problems["answer"], strict=True))
    kept = {}
    for name in TOKENS:
        rows = load_dataset("json", data_files=str(folder / f"{name}.jsonl"), split="train", cache_dir=cache)
        rows = rows.map(lambda row: {"n_tokens": len(piece.findall(row["text"]))})
        kept[name] = rows.filter(lambda row: box.findall(row["text"])[-1:] == [references[row["problem"]]])
    shared = set.intersection(*(set(rows["problem"]) for rows in kept.values()))
    for name, rows in kept.items():
        rows.filter(lambda row: row["problem"] in shared).to_parquet(str(folder / f"{name}.parquet"))
    watch.report(folder / "peer.json", "datasets, source to two files", time.perf_counter() - began)


class Watch:
    """Samples the memory of this process and its children from its making on."""

    def __init__(self) -> None:
        self.largest = self.together = 0
        threading.Thread(target=self._sample, daemon=True).start()

    def _sample(self) -> None:
        while True:
            sizes = [0, *(resident(pid) for pid in tree(os.getpid()))]
            self.largest, self.together = max(self.largest, *sizes), max(self.together, sum(sizes))
            time.sleep(0.2)  # one look takes milliseconds

    def report(self, path: Path, what: str, seconds: float) -> None:
        """Print the figures, and leave them at `path`."""
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        cpu = sum(u.ru_utime + u.ru_stime for u in used)
        peak = max(self.largest / 1e9, *(u.ru_maxrss / 1e6 for u in used))
        print(
            f"{what}: {seconds:.1f} s, {cpu:.1f} CPU s, peak {peak:.2f} GB in one process,"
            f" {self.together / 1e9:.2f} GB in all",
            flush=True,
        )
        path.write_text(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak}), encoding="utf-8")


def tree(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # it has ended
            for child in listed.read_text(encoding="ascii").split():
                yield from tree(int(child))


def resident(pid: int) -> int:
    """The bytes of a process that are in memory; none when it has ended."""
    with contextlib.suppress(OSError):
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize()
    return 0


if __name__ == "__main__":
    main()
