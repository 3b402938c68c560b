"""How a trace reasons: steps, backtracks, self-checks, restatements and changes of approach, counted in its text.

English phrases and paragraphs, nothing learnt: it compares traces of one language and domain with each other, and its
counts are no absolute truth. The idea follows *On the Role of Reasoning Patterns in the Generalization Discrepancy of
Long Chain-of-Thought SFT* (arXiv 2604.01702), where students got better once the most branching traces were dropped;
the phrases are our own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from lakon.core.records import Profile, Trace
from lakon.core.report_data import ProfileRow
from lakon.stats.distributions import t_quantile
from lakon.stats.intervals import clustered_error

PROFILED = 2_000
"""Problems that are profiled unless a filter wants all: the first in the order of their ids, which are digests, so that
it is the same random sample for every teacher."""

PHRASES: dict[str, tuple[str, ...]] = {
    "backtracks": (
        "wait,", "wait.", "wait!", "wait -", "wait no", "wait a", "hold on", "oh no",
        "i made a mistake", "scratch that", "that's not right", "that can't be right", "that's wrong", "let me go back",
        "hmm, no",
        "no, that",
    ),
    "self_checks": (
        "let me check", "let's check", "let me verify", "let's verify", "double-check", "double check", "to verify",
        "sanity check", "let me confirm", "\ncheck:", "\nverify:", "let me recheck", "let me re-check", "plug back",
    ),
    "restatements": (
        "the problem says", "the problem asks", "the problem states", "the question asks", "the question is",
        "we need to find", "i need to find", "we are given", "we're given", "in other words", "to restate",
    ),
    "branches": (
        "alternatively", "another approach", "another way", "another method", "another idea", "different approach",
        "different way", "let me try", "let's try", "instead, let", "what if", "perhaps we can", "maybe i can",
        "maybe we can",
    ),
}  # fmt: skip
"""Lower-case phrases that stand for each pattern; every occurrence counts."""

PATTERNS = ("n_tokens", "steps", "backtracks", "self_checks", "restatements", "branches")


def profile_trace(trace: Trace) -> Profile:
    """The counts of one trace."""
    text = trace.reasoning.lower()
    counts = {name: sum(map(text.count, phrases)) for name, phrases in PHRASES.items()}
    return Profile(
        trace_id=trace.trace_id, problem_id=trace.problem_id, n_tokens=trace.n_tokens, steps=_steps(text), **counts
    )


def _steps(text: str) -> int:
    """Paragraphs; lines where there is no blank one."""
    separator = "\n\n" if "\n\n" in text.strip() else "\n"
    return sum(1 for part in text.split(separator) if part.strip())


def branching_rate(profile: Profile) -> float:
    """Changes of approach a step: long traces are not branching for their length alone."""
    return profile.branches / max(1, profile.steps)


def summarise_profiles(author: str, rows: Iterable[Profile], level: float) -> ProfileRow | None:
    """An author's means with intervals clustered by problem; None when it has no profile."""
    profiles = list(rows)
    if not profiles:
        return None
    index: dict[str, int] = {}
    clusters = np.asarray([index.setdefault(row.problem_id, len(index)) for row in profiles])
    means = {name: _mean(_column(profiles, name), clusters, level) for name in PATTERNS}
    means["branching"] = _mean([branching_rate(row) for row in profiles], clusters, level)
    return ProfileRow(author=author, n_traces=len(profiles), n_problems=len(index), means=means)


def _column(profiles: Sequence[Profile], name: str) -> list[float]:
    return [float(getattr(profile, name)) for profile in profiles]


def _mean(values: Sequence[float], clusters: np.ndarray, level: float) -> tuple[float, float, float]:
    array = np.asarray(values)
    error, mean = clustered_error(array, clusters), float(array.mean())
    if not math.isfinite(error.se):
        return mean, mean, mean
    half = t_quantile(0.5 + level / 2, error.df) * error.se
    return mean, max(0.0, mean - half), mean + half


def sample_problems(problem_ids: Iterable[str]) -> set[str]:
    """The problems that are profiled in any case."""
    sample: set[str] = set()
    for problem_id in problem_ids:
        sample.add(problem_id)
        if len(sample) >= 2 * PROFILED:  # all of them need not lie in memory
            sample = set(sorted(sample)[:PROFILED])
    return set(sorted(sample)[:PROFILED])


def find_most_branching(profiles: Sequence[Profile], quantile: float) -> Iterator[tuple[Profile, float]]:
    """Traces above the quantile of branching among `profiles`, each with that border."""
    if profiles:
        values = np.asarray([branching_rate(row) for row in profiles])
        border = float(np.quantile(values, quantile))
        yield from ((row, border) for row, value in zip(profiles, values, strict=True) if value > border)
