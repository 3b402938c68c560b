"""How right and how fast the mathematics verifier is, beside math-verify, inspect_ai's `math()` and a string grader.

Usage: python benchmarks/verify.py DATA_FOLDER [--no-peers] [--no-pairs] [--no-speed] [--show]. The folder holds
`verify_cases.jsonl` (gold, prediction, expected, source, kind, notes), `math500.jsonl`, and for the natural mix also
`gsm8k_test.jsonl`, `aime2024.jsonl`, `aime2025.jsonl` and `traces_real.jsonl`. Cases whose notes say POLICY are
reported apart. All of it runs on one core, chosen at the start; what is noisy is the median of several rounds.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import graders
from mix import Draw, draws

from lakon.core.protocols import Answered, Grading
from lakon.core.records import Outcome
from lakon.domains.math import MathVerifier
from lakon.domains.math.rules.answer import read_answer
from lakon.domains.worker_pool.pool import KillablePool

Case = dict[str, Any]
PEER_LIMIT_S = 8.0
"""A little more than math-verify's own two limits of 5 s, which do not hold in C code."""


def main() -> None:
    """Print the figures."""
    options = arguments()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if not options.no_accuracy:
        measure_verdicts(options)
    if not options.no_speed:
        peer_pairs = 0 if options.no_peers else options.peer_pairs
        speed(draws(options.data, options.size), options.rounds, peer_pairs)


def measure_verdicts(options: argparse.Namespace) -> None:
    """Accuracy by source and beside peers, latency, real traces, all pairs of references."""
    cases = rows_of(options.data / "verify_cases.jsonl")
    with MathVerifier(limit_s=options.limit) as verifier:
        list(verifier.grade([Answered(reference="x+y", answer=r"\boxed{y+x}", finish_reason="stop")]))
        latency([case for case in cases if case["kind"] == "adversarial"], verifier)
        gradings = list(verifier.grade(answered(case) for case in cases))  # adversarial ones again, not cold
        ours = [grading.outcome is Outcome.CORRECT for grading in gradings]
        by_source(cases, ours)
        print("outcomes:", dict(Counter(str(grading.outcome) for grading in gradings)))
        if options.show:
            wrong_ones(cases, gradings)
        beside_peers(cases, ours, [] if options.no_peers else list(graders.GRADERS))
        traces(options.data / "traces_real.jsonl", verifier)
        if not options.no_pairs:
            pairs(rows_of(options.data / "math500.jsonl"), verifier)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--limit", type=float, default=5.0)
    parser.add_argument("--size", type=int, default=10_000, help="size of the natural mix")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-pairs", type=int, default=1_000, help="pairs of the mix that math-verify gets a round")
    for part in ("accuracy", "peers", "pairs", "speed"):
        parser.add_argument(f"--no-{part}", action="store_true", dest=f"no_{part}")
    parser.add_argument("--show", action="store_true", help="print every wrong case")
    return parser.parse_args()


def rows_of(path: Path) -> list[Case]:
    """The rows of a JSONL file; none when it is not there."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def answered(case: Case) -> Answered:
    """A case as the verifier sees it: an author that finished."""
    return Answered(reference=case["gold"], answer=case["prediction"], finish_reason="stop")


def verdict(case: Case, accepted: bool) -> str:
    """Right, or which way it is wrong."""
    return "right" if accepted == bool(case["expected"]) else "false accept" if accepted else "false reject"


def is_policy(case: Case) -> bool:
    """Whether the label is a matter of taste."""
    return "POLICY" in (case["notes"] or "")


def by_source(cases: Sequence[Case], accepted: Sequence[bool]) -> None:
    """Right, false accepts and false rejects by source."""
    table: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for case, yes in zip(cases, accepted, strict=True):
        group = "POLICY" if is_policy(case) else f"{case['kind']}: {case['source'].split('@')[0][:70]}"
        for name in (group,) if is_policy(case) else (group, "ALL"):
            table[name].update((verdict(case, yes), "n"))
    for name in sorted(table, key=lambda key: (key == "ALL", key)):
        print(f"{line_of(table[name])}  {name}")


def line_of(row: Counter[str]) -> str:
    """The figures of one group."""
    wrong = f"{row['false accept']:3} FA {row['false reject']:3} FR"
    return f"{row['right'] / max(1, row['n']):6.3f} {row['n']:5} rows {wrong}"


def wrong_ones(cases: Sequence[Case], gradings: Sequence[Grading]) -> None:
    """Every case that was decided against its label."""
    for case, grading in zip(cases, gradings, strict=True):
        side = verdict(case, grading.outcome is Outcome.CORRECT)
        if side != "right":
            print(f"  {side}: {case['id']} {case['gold'][-60:]!r} {grading.extracted!r} {grading.method}")


def beside_peers(cases: Sequence[Case], ours: Sequence[bool], names: Iterable[str]) -> None:
    """The same cases under each grader, matters of taste left out; peers in killable workers, because some hang."""
    print("\ngrader: right, rows, false accepts, false rejects (no matters of taste)")
    print(f"{line_of(tally(cases, ours))}  lakon")
    for name in names:
        rows = [(case["gold"], case["prediction"]) for case in cases]
        work = graders.accept
        with KillablePool(
            work, setup=functools.partial(graders.prepare, name), limit_s=PEER_LIMIT_S, memory_mb=8192, batch=16
        ) as pool:
            results = list(pool.map(rows))
        if all(result.status == "error" and "No module" in result.detail for result in results):
            print(f"  not installed{'':24}  {name}")
            continue
        lost = Counter(result.status for result in results if result.status != "done")
        print(f"{line_of(tally(cases, [bool(r.value) for r in results]))}  {name}  {dict(lost) or ''}")


def tally(cases: Sequence[Case], accepted: Sequence[bool]) -> Counter[str]:
    """Right and wrong over all cases but the matters of taste."""
    counts: Counter[str] = Counter()
    for case, yes in zip(cases, accepted, strict=True):
        if not is_policy(case):
            counts.update((verdict(case, yes), "n"))
    return counts


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def latency(cases: Sequence[Case], verifier: MathVerifier) -> None:
    """The slowest single row among the adversarial ones, and among the largest inputs that a row can be."""
    huge = [
        {"id": f"5 MB of {piece!r}", "gold": "5", "prediction": piece * (5_000_000 // len(piece))} for piece in HUGE
    ]
    for name, rows in (("the adversarial rows", cases), ("5 MB answers", huge)):
        timed = [(seconds(lambda row=row: list(verifier.grade([answered(row)]))), row["id"]) for row in rows]
        if timed:
            print(
                f"worst latency of one row among {name}: {max(timed)[0]:.2f} s ({max(timed)[1]}), "
                f"limit {verifier.limit_s:g} s"
            )


HUGE = ("\\boxed{", "$", "{", "(", "1,", "**", "answer is ", "<think>", "9^", "\\frac{", "7", "x+", "1: ")


def traces(path: Path, verifier: MathVerifier) -> None:
    """Real traces against the labels that were published with them; the labels are known to err, see docs/log.md."""
    rows = [row for row in rows_of(path) if row.get("reference")]
    gradings = verifier.grade(
        Answered(reference=row["reference"], answer=row["answer_text"], finish_reason="stop") for row in rows
    )
    differ = [
        row["id"]
        for row, grading in zip(rows, gradings, strict=True)
        if (grading.outcome is Outcome.CORRECT) != bool(row["source_label_correct"])
    ]
    print(f"real traces: {len(rows)}, of which {len(differ)} against their published label: {', '.join(differ)}")


def pairs(rows: Sequence[Case], verifier: MathVerifier) -> None:
    """Every two distinct references, one as the answer to the other: prints the pairs that are found equal."""
    couples = list(itertools.combinations(sorted({row["answer"] for row in rows}), 2))
    start = time.perf_counter()
    gradings = verifier.grade(Answered(reference=a, answer=f"\\boxed{{{b}}}", finish_reason="stop") for a, b in couples)
    counts: Counter[str] = Counter()
    for (a, b), grading in zip(couples, gradings, strict=True):
        counts[str(grading.outcome)] += 1
        if grading.outcome is Outcome.CORRECT:
            print(f"  equal: {a}  |  {b}  ({grading.method})")
    print(f"{len(couples):,} pairs of MATH-500 references in {time.perf_counter() - start:.0f} s: {dict(counts)}")


def speed(drawn: Sequence[Draw], rounds: int, peer_pairs: int) -> None:
    """The natural mix on one core, each round with cold caches and new workers, a slice of it through math-verify."""
    ours: list[float] = []
    ratios: list[float] = []
    for i in range(rounds):
        ours.append(_round(drawn, report=i == rounds - 1))
        part = drawn[i * peer_pairs : (i + 1) * peer_pairs]
        if part:
            theirs = seconds(lambda part=part: [_tried(graders.math_verify_as_is, draw) for draw in part]) / len(part)
            ratios.append(theirs / (ours[-1] / len(drawn)))
    print(
        f"natural mix of {len(drawn):,}: {len(drawn) / statistics.median(ours):,.0f} pairs/s, rounds "
        + ", ".join(f"{s:.2f} s" for s in ours)
    )
    if ratios:
        print(
            f"times as many as math-verify called as its README says: {statistics.median(ratios):.1f}, rounds "
            + ", ".join(f"{ratio:.1f}" for ratio in ratios)
        )


def _tried(grader: graders.Grader, draw: Draw) -> bool:
    try:
        return grader(draw.reference, draw.written)
    except Exception:
        return False


def _round(drawn: Sequence[Draw], *, report: bool) -> float:
    read_answer.cache_clear()
    before = time.process_time()
    with MathVerifier() as verifier:
        list(verifier.grade([Answered(reference="x+y", answer=r"\boxed{y+x}", finish_reason="stop")]))
        worked = sum(map(cpu_seconds, descendants()))
        gradings: list[Grading] = []
        took = seconds(
            lambda: gradings.extend(
                verifier.grade(Answered(reference=d.reference, answer=d.written, finish_reason="stop") for d in drawn)
            )
        )
        if report:
            cpu = time.process_time() - before, sum(map(cpu_seconds, descendants())) - worked
            agreed = [
                (g.outcome is Outcome.CORRECT) == d.right
                for g, d in zip(gradings, drawn, strict=True)
                if d.right is not None
            ]
            outcomes = dict(Counter(str(grading.outcome) for grading in gradings))
            print(f"\nnatural mix: {sum(agreed) / len(agreed):.4f} as they were drawn, {outcomes}")
            print(f"CPU seconds: {cpu[0]:.2f} here, {cpu[1]:.2f} in the workers")
            print("memory:", "; ".join(f"{name} {size:.0f} MB" for name, size in memory()))
    return took


def descendants() -> list[int]:
    """The processes below this one; none where there is no /proc."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
    below = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    return sorted(below - {os.getpid()})


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory() -> list[tuple[str, float]]:
    """Peak resident size of each process of the pool, and what they take together where pages are counted once."""
    sizes: list[tuple[str, float]] = []
    shared = 0.0
    for pid in descendants():
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        sizes.append(("template" if not sizes else "worker", int(status["VmHWM"].split()[0]) / 1024))
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        shared += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024
    return [*sizes, ("together", shared)]


if __name__ == "__main__":
    main()
