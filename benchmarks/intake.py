"""How much memory and time the first steps of a corpus take: problems from a file, and those that copy no benchmark.

Usage: python benchmarks/intake.py DATA_FOLDER [--problems 100000 300000] [--count N] [--folder DIR]. The folder holds
`math500.jsonl`, `math_train.jsonl` and `gsm8k_train.jsonl` (id, problem, answer). Problems are 200 to 2,000 characters
of sentences drawn from the training sets; of a hundred, two are an earlier one with another number, one is an earlier
one again, and one in a thousand is a problem of MATH-500. Each step runs in a process of its own. Given are its
processor time, its peak memory above what the imports take, and a digest of what it wrote, by which two versions of
the code can be compared. With two sizes, the bytes that a problem more takes are printed.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from pathlib import Path

STEPS = ("problems", "decontaminate")
STUDY = """
name = "intake"
problems = {kind = "jsonl", path = "problems.jsonl"}
teachers.any = {kind = "recorded", path = "traces.jsonl", text_field = "text"}
benchmarks.own = {kind = "jsonl", path = "bench.jsonl"}
evaluate.benchmarks = ["own"]
"""
SENTENCE = re.compile(r"(?<=[.?!])\s+")


def main() -> None:
    """Make the sources, run each step in a process of its own, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--problems", type=int, nargs="+", default=[30_000])
    parser.add_argument("--count", type=int, help="sample so many problems; all unless given")
    parser.add_argument("--folder", type=Path, help="where the source and the store lie; else a temporary one")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        measure(options.data, options.step, options.count)
        return
    before: dict[str, tuple[int, int]] = {}
    for n in options.problems:
        with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
            folder = Path(temporary)
            make(folder, options.data, n)
            print(f"{n:,} problems, {(folder / 'problems.jsonl').stat().st_size / 1e6:.0f} MB", flush=True)
            for step in STEPS:
                count = ["--count", str(options.count)] if options.count else []
                command = [sys.executable, __file__, str(folder), "--step", step, *count]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                found = json.loads(done.stdout)
                print(f"  {step}: {found['cpu']:.1f} CPU s, {found['bytes'] / 1e6:.0f} MB above the imports,", end=" ")
                print(f"{found['rows']}, digest {found['content'][:12]}", flush=True)
                if step in before:
                    fewer, least = before[step]
                    print(f"    {(found['bytes'] - least) / (n - fewer):.0f} bytes a problem more", flush=True)
                before[step] = n, found["bytes"]


def make(folder: Path, data: Path, n: int) -> None:
    """The problems, and the benchmark beside them."""
    rng = random.Random(0)
    rows = [json.loads(line) for name in ("math_train", "gsm8k_train") for line in (data / f"{name}.jsonl").open()]
    bench = [json.loads(line) for line in (data / "math500.jsonl").open()]
    sentences = [sentence for row in rows for sentence in SENTENCE.split(row["problem"])]
    earlier: list[dict[str, str]] = []
    with (folder / "problems.jsonl").open("w", encoding="utf-8") as file:
        for _ in range(n):
            made = drawn(rng, sentences, rng.choice(rows)["answer"])
            kind = rng.random()
            if kind < 0.02 and earlier:
                made = renumbered(rng.choice(earlier), rng)
            elif kind < 0.03 and earlier:
                made = rng.choice(earlier)
            elif kind < 0.031:
                made = {name: rng.choice(bench)[name] for name in ("problem", "answer")}
            elif kind < 0.032:
                made = made | {"answer": ""}
            if len(earlier) < 10_000:
                earlier.append(made)
            file.write(json.dumps(made) + "\n")
    with (folder / "bench.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"problem": row["problem"], "answer": row["answer"]}) + "\n" for row in bench)


def drawn(rng: random.Random, sentences: list[str], answer: str) -> dict[str, str]:
    """A problem of 200 to 2,000 characters."""
    size = 200 * 10 ** rng.random()
    parts: list[str] = []
    while sum(map(len, parts)) < size:
        parts.append(rng.choice(sentences))
    return {"problem": " ".join(parts)[:2000], "answer": answer}


def renumbered(row: dict[str, str], rng: random.Random) -> dict[str, str]:
    """The problem with other numbers and another answer."""
    text = re.sub(r"\d+", lambda found: str(int(found[0]) + rng.randint(1, 9)), row["problem"])
    return {"problem": text, "answer": str(rng.randint(2, 9999))}


class Silent:
    """Progress that nobody looks at."""

    def start(self, total: int, *, done: int = 0, unit: str = "rows") -> None: ...

    def advance(self, n: int = 1, **figures: float) -> None: ...

    def show(self, **figures: float) -> None: ...


def measure(folder: Path, name: str, count: int | None) -> None:
    """Run one step and print its figures as JSON."""
    import datasketch  # noqa: F401
    import numpy  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    from lakon.pipeline.steps import problems as intake
    from lakon.stages.problems.sources import JsonlProblems
    from lakon.store.artifacts import Artifact, Store
    from lakon.store.step import StepContext
    from lakon.study.schema import Study

    store = Store(folder / "store")

    def run(label: str, body: intake.Body, inputs: dict[str, Artifact]) -> Artifact:
        out = store.begin("step", label, label)
        body(StepContext(inputs=inputs, out=out, store=store, progress=Silent(), stop=threading.Event()))
        return out.commit(stage="step", label=label, version=1, key=label, payload={}, inputs={})

    def read(label: str, source: JsonlProblems) -> Artifact:
        return store.find("step", label, label) or run(label, intake.problems(source, 7), {})

    if name == "decontaminate":
        bench = read("bench", JsonlProblems(path=str(folder / "bench.jsonl")))
    start, imported = time.process_time(), status("VmRSS")
    problems = read("problems", JsonlProblems(path=str(folder / "problems.jsonl"), count=count))
    if name == "decontaminate":
        study = Study.model_validate(tomllib.loads(STUDY))
        problems = run("clean", intake.decontaminate(study), {"problems": problems, "benchmark:own": bench})
    figures = {"cpu": time.process_time() - start, "bytes": status("VmHWM") - imported}
    print(json.dumps({**figures, "rows": problems.manifest.rows, "content": problems.content}))


def status(field: str) -> int:
    """A figure of this process in bytes; the peak is of this program alone, not of the one that started it."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


if __name__ == "__main__":
    main()
