"""How right and how fast the mathematics verifier is, against math-verify called as its README says, in one run.

Usage: python benchmarks/verify.py DATA_FOLDER [--peer] [--pairs]. The folder holds `verify_cases.jsonl` (gold,
prediction, expected, source, kind, notes) and `math500.jsonl` (answer). Cases
whose notes say POLICY are reported apart.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from laconic.core.protocols import Answered, Grading
from laconic.core.records import Outcome
from laconic.domains.math import MathVerifier

Case = dict[str, Any]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--limit", type=float, default=5.0)
    parser.add_argument("--peer", action="store_true", help="measure math-verify too, and print the ratio")
    parser.add_argument("--pairs", action="store_true", help="all pairs of distinct MATH-500 references")
    parser.add_argument("--show", action="store_true", help="print every wrong case")
    options = parser.parse_args()
    cases = rows_of(options.data / "verify_cases.jsonl")
    with MathVerifier(workers=options.workers, limit_s=options.limit) as verifier:
        list(verifier.grade([Answered(reference="x+y", answer=r"\boxed{y+x}")]))  # start the worker before the clock
        natural = [case for case in cases if case["kind"] != "adversarial"]
        ours = seconds(lambda: list(verifier.grade(answered(case) for case in natural)))  # first, with cold caches
        latency([case for case in cases if case["kind"] == "adversarial"], verifier)
        accuracy(cases, list(verifier.grade(answered(case) for case in cases)), show=options.show)
        print(f"natural mix: {len(natural) / ours:,.0f} cases/s with {options.workers} worker(s)")
        if options.peer:
            theirs = peer(natural)
            print(f"math-verify as in its README: {len(natural) / theirs:,.0f} cases/s; ratio {theirs / ours:.1f}")
        if options.pairs:
            pairs(rows_of(options.data / "math500.jsonl"), verifier)


def rows_of(path: Path) -> list[Case]:
    """The rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def answered(case: Case) -> Answered:
    """A case as the verifier sees it: an author that finished."""
    return Answered(reference=case["gold"], answer=case["prediction"], finish_reason="stop")


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def accuracy(cases: Sequence[Case], gradings: Sequence[Grading], *, show: bool) -> None:
    """Right, false accepts and false rejects by source, and how each outcome came about."""
    table: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for case, grading in zip(cases, gradings, strict=True):
        policy = "POLICY" in (case["notes"] or "")
        group = "POLICY" if policy else f"{case['kind']}: {case['source'].split('@')[0][:70]}"
        accepted = grading.outcome is Outcome.CORRECT
        verdict = "right" if accepted == bool(case["expected"]) else "false accept" if accepted else "false reject"
        for name in (group,) if policy else (group, "ALL"):
            table[name].update((verdict, "n"))
        if show and verdict != "right":
            found = f"{grading.extracted!r} {grading.method} {grading.explanation[:60]}"
            print(f"  {verdict}: {case['id']} {case['gold'][-60:]!r} {found}")
    for name in sorted(table, key=lambda key: (key == "ALL", key)):
        row = table[name]
        wrong = f"{row['false accept']:3} FA {row['false reject']:3} FR"
        print(f"{row['right'] / row['n']:6.3f} {row['n']:5} rows {wrong}  {name}")
    print("outcomes:", dict(Counter(str(grading.outcome) for grading in gradings)))
    print("methods:", dict(Counter(grading.method for grading in gradings).most_common()))


def latency(cases: Sequence[Case], verifier: MathVerifier) -> None:
    """The slowest single row among the adversarial ones."""
    worst = max((seconds(lambda case=case: list(verifier.grade([answered(case)]))), case["id"]) for case in cases)
    print(f"worst latency of one row: {worst[0]:.2f} s ({worst[1]}), limit {verifier.limit_s:g} s")


def peer(cases: Sequence[Case]) -> float:
    """Seconds that math-verify takes for the same cases, called as its README says."""
    from math_verify import parse, verify

    def work() -> None:
        for case in cases:
            try:
                verify(parse(case["gold"]), parse(case["prediction"]))
            except Exception as error:
                print(f"  math-verify: {type(error).__name__} on {case['id']}")

    return seconds(work)


def pairs(rows: Sequence[Case], verifier: MathVerifier) -> None:
    """Every two distinct references, one as the answer to the other: prints the pairs that are found equal."""
    references = sorted({row["answer"] for row in rows})
    couples = list(itertools.combinations(references, 2))
    start = time.perf_counter()
    gradings = verifier.grade(Answered(reference=a, answer=f"\\boxed{{{b}}}") for a, b in couples)
    counts: Counter[str] = Counter()
    for (a, b), grading in zip(couples, gradings, strict=True):
        counts[str(grading.outcome)] += 1
        if grading.outcome is Outcome.CORRECT:
            print(f"  equal: {a}  |  {b}  ({grading.method})")
    print(f"{len(couples):,} pairs of MATH-500 references in {time.perf_counter() - start:.0f} s: {dict(counts)}")


if __name__ == "__main__":
    main()
