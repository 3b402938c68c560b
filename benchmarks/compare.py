"""How long `lakon compare` takes on 10 authors, 1,849 problems and 8 samples, on one core, by format.

Usage: python benchmarks/compare.py [--authors 10] [--problems 1849] [--samples 8] [--chars 2000]. Made-up results are
written as JSONL, as CSV and as logs of lm-eval and inspect; then the command compares them, in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lakon import api


def main() -> None:
    """Print seconds of processor and of clock for each format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--authors", type=int, default=10)
    parser.add_argument("--problems", type=int, default=1_849)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--chars", type=int, default=2_000, help="characters of a response")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        plain = [write_author(folder / "jsonl", number, options) for number in range(options.authors)]
        measure("jsonl", plain, folder)
        for kind in ("lm-eval", "inspect", "csv"):
            api.compare(list(map(str, plain)), export=kind, to=folder / kind)
            measure(kind, sorted((folder / kind).iterdir()), folder)


def write_author(folder: Path, number: int, options: argparse.Namespace) -> Path:
    """Results of one author as JSONL, a row a sample."""
    folder.mkdir(exist_ok=True)
    draw = random.Random(number)
    path = folder / f"author{number}.jsonl"
    with path.open("w") as file:
        for problem in range(options.problems):
            rate = min(1.0, max(0.0, 0.4 + 0.03 * number + draw.gauss(0, 0.3)))
            text = f"Problem {problem}: what is {problem} times {problem + 1}, and the sum of its digits?"
            for sample in range(options.samples):
                row = {
                    "id": f"p{problem}",
                    "problem": text,
                    "reference": str(problem * (problem + 1)),
                    "answer": "so it goes " * (options.chars // 11),
                    "correct": draw.random() < rate,
                    "sample": sample,
                    "tokens": draw.randint(100, 4_000),
                }
                file.write(json.dumps(row) + "\n")
    return path


def measure(kind: str, paths: list[Path], folder: Path) -> None:
    """Compare all pairs of the family against the first, once for each family."""
    size = sum(file.stat().st_size for path in paths for file in ([path] if path.is_file() else path.iterdir()))
    for family in ("baseline", "all"):
        command = [sys.executable, "-m", "lakon", "compare", *map(str, paths), "--margin", "0.05", "--family", family]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run([*command, "--json"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
        after, took = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"{kind:8} {size / 1e6:7.0f} MB  {family:8}  {used:6.1f} s of processor  {took:6.1f} s", flush=True)


if __name__ == "__main__":
    main()
