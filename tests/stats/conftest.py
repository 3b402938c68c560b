"""Makes `Samples` for these tests; invariant: everything random is drawn from a given seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from lakon.stats import Samples


class Make:
    """Builds samples from rows, or draws them."""

    def rows(self, correct: Sequence[Sequence[int]], **fields: object) -> Samples:
        """One row of 0/1 a problem; ids are p0, p1, ..."""
        return Samples(problem_ids=tuple(f"p{i}" for i in range(len(correct))), correct=correct, **fields)

    def drawn(self, n: int, k: int, seed: int, *, tokens: bool = True) -> Samples:
        """U-shaped difficulty, log-normal tokens that grow with difficulty."""
        rng = np.random.default_rng(seed)
        ease = rng.beta(0.5, 0.5, size=n)
        correct = rng.random((n, k)) < ease[:, None]
        counts = np.exp(rng.normal(6 + 2 * (1 - ease)[:, None], 0.4, size=(n, k))).astype(int) + 1
        return self.rows(correct, tokens=list(counts) if tokens else None)


@pytest.fixture(scope="session")
def make() -> Make:
    return Make()
