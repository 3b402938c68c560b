"""What answers cost: mean tokens, the token ratio of two authors, and tokens per correct answer.

Invariant: tokens are counted by one tokenizer for all authors, and every ratio is paired by problem.
Sources: the ratio estimator and its delta method, Cochran 1977, chapter 6; the log scale keeps coverage near
95% at n = 30, where the percentile bootstrap of a ratio has 89%.
"""

from __future__ import annotations

import math

from lakon.core.errors import InputError
from lakon.stats.distributions import t_two_sided
from lakon.stats.intervals import Estimate, clustered_error, lacks_variation, t_interval
from lakon.stats.paired_error import SeedError, add_seed_errors, seed_error
from lakon.stats.samples import AlignedPair, FloatArray, IntArray, Samples, align_samples, cluster_index


def mean_tokens(samples: Samples, *, level: float = 0.95) -> Estimate:
    """The mean number of generated tokens, clustered t.

    Where samples were truncated the method says so: the mean is then restricted at the cap, not the mean of what the
    author would have written.
    """
    means = samples.token_means
    value, error = float(means.mean()), clustered_error(means, cluster_index(samples))
    low, high, method = t_interval(value, error, level=level)
    method += _cap_note(samples)
    return Estimate(value, max(0.0, low), high, method, samples.n_problems, samples.n_samples)


def token_ratio(a: Samples, b: Samples, *, level: float = 0.95) -> Estimate:
    """Mean tokens of `a` over mean tokens of `b`, by the paired delta method on the logarithm.

    SE(log R) = SE of the mean of t_iA/mean_A - t_iB/mean_B; interval R exp(± t SE); the p-value tests R = 1. Raises
    `InputError` without common problems or when an author generated no token.
    """
    pair = align_samples(a, b)
    above, below = pair.a.token_means, pair.b.token_means
    if not (above.mean() > 0 and below.mean() > 0):
        raise _no_tokens()
    seeds = (
        seed_error(pair.a, pair.a.flat_tokens / above.mean()),
        seed_error(pair.b, pair.b.flat_tokens / below.mean()),
    )
    method = "paired delta method on log ratio" + _cap_note(pair.a, pair.b)
    return _log_ratio(pair, above, below, level, method, seeds)


def tokens_per_correct(samples: Samples, *, level: float = 0.95) -> Estimate | None:
    """Tokens per correct answer: mean tokens over accuracy, delta method on the logarithm.

    None when no sample is correct. Raises `InputError` when the author generated no token.
    """
    shares, means = samples.accuracies, samples.token_means
    if not shares.any():
        return None
    if not means.mean() > 0:
        raise _no_tokens()
    pair = AlignedPair(samples, samples, (), ())
    seeds = (_seed_error_per_correct(samples),)
    estimate = _log_ratio(pair, means, shares, level, "delta method on log ratio" + _cap_note(samples), seeds)
    return Estimate(*_interval(estimate), estimate.method, samples.n_problems, samples.n_samples)


def tokens_per_correct_ratio(a: Samples, b: Samples, *, level: float = 0.95) -> Estimate | None:
    """Tokens per correct answer of `a` over those of `b`, paired; below 1 where `a` is cheaper.

    None when either has no correct sample on the common problems. Raises `InputError` when one generated no token.
    """
    pair = align_samples(a, b)
    columns = (pair.a.token_means, pair.b.accuracies, pair.b.token_means, pair.a.accuracies)
    if not (pair.a.accuracies.any() and pair.b.accuracies.any()):
        return None
    if not all(column.mean() > 0 for column in columns):
        raise _no_tokens()
    ta, ab, tb, aa = (column / column.mean() for column in columns)
    log_value = sum(math.log(c.mean()) * sign for c, sign in zip(columns, (1, 1, -1, -1), strict=True))
    method = "paired delta method on log ratio" + _cap_note(pair.a, pair.b)
    n_samples = pair.a.n_samples + pair.b.n_samples
    seeds = (_seed_error_per_correct(pair.a), _seed_error_per_correct(pair.b))
    return _ratio_estimate(log_value, ta + ab - tb - aa, cluster_index(pair.a), level, method, n_samples, seeds)


def _seed_error_per_correct(samples: Samples) -> SeedError:
    influence = samples.flat_tokens / samples.token_means.mean() - samples.flat_correct / samples.accuracies.mean()
    return seed_error(samples, influence)


def _log_ratio(
    pair: AlignedPair, above: FloatArray, below: FloatArray, level: float, method: str, seeds: tuple[SeedError, ...]
) -> Estimate:
    influence = above / above.mean() - below / below.mean()
    log_value = math.log(above.mean() / below.mean())
    n_samples = pair.a.n_samples + pair.b.n_samples
    return _ratio_estimate(log_value, influence, cluster_index(pair.a), level, method, n_samples, seeds)


def _ratio_estimate(
    log_value: float,
    influence: FloatArray,
    clusters: IntArray,
    level: float,
    method: str,
    n_samples: int,
    seeds: tuple[SeedError, ...],
) -> Estimate:
    """exp(log_value ± t SE), where SE is the standard error of the mean of `influence`, training seeds included."""
    error = add_seed_errors(clustered_error(influence, clusters), *seeds)
    value, n = math.exp(log_value), len(influence)
    if lacks_variation(error):
        return Estimate(value, 0.0, math.inf, f"{method}: no variation, no interval", n, n_samples)
    low, high, _ = t_interval(log_value, error, level=level)
    name = f"{method}, t on {error.n_clusters} clusters"
    p_value = t_two_sided(log_value / error.se, error.df)
    return Estimate(value, math.exp(low), _exp_or_inf(high), name, n, n_samples, p_value)


def _exp_or_inf(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf


def _interval(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high


def _cap_note(*sides: Samples) -> str:
    cut = sum(int((~samples.flat_finished).sum()) for samples in sides)
    total = sum(samples.n_samples for samples in sides)
    return f"; restricted at the cap ({cut} of {total} samples truncated)" if cut else ""


def _no_tokens() -> InputError:
    return InputError(
        "an author without a single token on these problems",
        "a positive mean number of tokens",
        "check the common tokenizer's counts and whether every call failed",
    )
