"""Typed quantiles and tail probabilities, with scipy imported at first use.

Invariant: loading this module does not import scipy. `scipy.special` is enough and loads several times faster than
`scipy.stats`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def _special() -> Any:
    # Any, because scipy ships no annotations; every result is converted to float in this file.
    return import_module("scipy.special")


def normal_quantile(p: float) -> float:
    """z with P(Z <= z) = p."""
    return float(_special().ndtri(p))


def t_quantile(p: float, df: float) -> float:
    """t with P(T <= t) = p for Student's t with `df` degrees of freedom (fractional ones too)."""
    return float(_special().stdtrit(df, p))


def t_cdf(t: float, df: float) -> float:
    """P(T <= t)."""
    return float(_special().stdtr(df, t))


def t_two_sided(t: float, df: float) -> float:
    """P(|T| >= |t|)."""
    return 2.0 * t_cdf(-abs(t), df)


def noncentral_t_cdf(t: float, df: float, shift: float) -> float:
    """P(T <= t) for the non-central t with non-centrality `shift`."""
    return float(_special().nctdtr(df, shift, t))


def beta_quantile(p: float, a: float, b: float) -> float:
    """The p quantile of Beta(a, b)."""
    return float(_special().betaincinv(a, b, p))


def normal_cdf(z: float) -> float:
    """P(Z <= z)."""
    return float(_special().ndtr(z))
