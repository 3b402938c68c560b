"""How well copies of MATH-500 are found among 30,000 problems, what else is flagged, and what it takes.

Usage: python benchmarks/decontaminate.py DATA_FOLDER [--held-out] [--show] [--seeds N] [--first-seed N]. The folder
holds `math500.jsonl`, `math_train.jsonl` and `gsm8k_train.jsonl` (id, problem, answer). Each of the 500 problems is
planted once a seed, by the ways of `planting` in turn; the two training sets and generated word problems make up the
rest. The thresholds were set on the ways of `TUNED`; --held-out plants by those that they never saw. Copies keep the
answer of what they copy; "with another answer" tells what is found where they do not. The curve around the defaults is
for one seed.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from planting import HELD_OUT, TUNED, Way

from lakon.core.records import Problem
from lakon.miniature.problems import generate
from lakon.stages.problems.decontaminate import Decontaminate, decontaminate
from lakon.stages.problems.near_duplicates import mark_groups

TOTAL = 30_000
CURVE = [
    *({"overlap": overlap} for overlap in (0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7)),
    *({"n": n} for n in (2, 4, 8)),
    {"renumbered": False},
    {"same_answer": False},
    {"same_answer": False, "overlap": 0.7},
]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--show", action="store_true", help="print every other problem that is flagged, and every miss")
    parser.add_argument("--held-out", action="store_true", help="plant by the ways that the thresholds never saw")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0, help="seeds that nobody has looked at begin elsewhere")
    options = parser.parse_args()
    held_out, math, gsm8k = (read(options.data / f"{name}.jsonl") for name in ("math500", "math_train", "gsm8k_train"))
    missing = TOTAL - len(held_out) - len(math) - len(gsm8k)
    made = [Problem.of(p.prompt, str(p.answer)) for p in generate(missing, seed=0, min_steps=2, max_steps=6)]
    others = {"MATH train": math, "GSM8K train": gsm8k, "generated": made}
    ways = HELD_OUT if options.held_out else TUNED
    first = options.first_seed
    seeds = [plant(held_out, ways, gsm8k, seed) for seed in range(first, first + options.seeds)]
    start = time.process_time()
    print("defaults, by seed (misses and flags of every seed):")
    for copies in seeds:
        counts = measure(held_out, copies, others, Decontaminate(), show=options.show)
        strangers = [replace(problem, reference="another answer") for problem in copies]
        lost = measure(held_out, strangers, others, Decontaminate())
        print("  " + ", ".join(f"{name} {count}" for name, count in counts.items()))
        print("    with another answer: " + ", ".join(f"{name} {count}" for name, count in lost.items()))
    print(f"  {(time.process_time() - start) / len(seeds) / 2:.1f} CPU s for {TOTAL:,} problems")
    for change in () if options.held_out else CURVE:
        spec = Decontaminate().model_copy(update=change)
        counts = measure(held_out, seeds[0], others, spec)
        print(f"{change}: " + ", ".join(f"{key} {counts[key]}" for key in ("found", *others)))
    start = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        written = mark_groups(lambda: [*held_out, *math, *gsm8k], Path(scratch))
        n_grouped = sum(problem.duplicate_group is not None for problem in written)
    print(f"near-duplicate groups of written problems: {n_grouped:,} in {time.process_time() - start:.1f} CPU s")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def read(path: Path) -> list[Problem]:
    """The problems of a JSONL file."""
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [Problem.of(row["problem"], row["answer"], source=row["id"]) for row in rows]


def plant(held_out: Sequence[Problem], ways: Mapping[str, Way], others: Sequence[Problem], seed: int) -> list[Problem]:
    """A copy of each problem. With another seed a problem is copied in another way."""
    rng = random.Random(seed)
    sentences = [problem.prompt for problem in others]
    names = list(ways)
    copies: list[Problem] = []
    for number, problem in enumerate(held_out):
        way = names[(number + seed) % len(names)]
        text = ways[way](problem.prompt, rng, sentences)
        copies.append(replace(problem, problem_id=f"planted-{number}", prompt=text, source=way))
    return copies


def measure(
    held_out: Sequence[Problem],
    copies: Sequence[Problem],
    others: Mapping[str, Sequence[Problem]],
    spec: Decontaminate,
    *,
    show: bool = False,
) -> Counter[str]:
    """Copies found, misses by way, and what is flagged of the rest."""
    everything = [*copies, *(problem for rows in others.values() for problem in rows)]
    random.Random(0).shuffle(everything)
    with tempfile.TemporaryDirectory() as scratch:
        _, found = decontaminate(lambda: everything, {"math-500": held_out}, spec, Path(scratch))
    flagged = {left.subject: left.detail for left in found}
    missed = [problem for problem in copies if problem.problem_id not in flagged]
    counts = Counter({"planted": len(copies), "found": len(copies) - len(missed)})
    counts.update(f"missed: {problem.source}" for problem in missed)
    for problem in missed if show else ():
        print(f"    missed, {problem.source}: {problem.prompt!r}")
    for name, problems in others.items():
        hits = [problem for problem in problems if problem.problem_id in flagged]
        counts[name] = len(hits)
        for problem in hits if show else ():
            print(f"    {name}: {flagged[problem.problem_id]}: {problem.prompt[:160]!r}")
    return counts


if __name__ == "__main__":
    main()
