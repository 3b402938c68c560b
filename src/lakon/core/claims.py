"""What a paired comparison supports, in one of a few phrases that tables, sentences and terminals share."""

from __future__ import annotations

from enum import StrEnum


class Claim(StrEnum):
    """The strongest statement about accuracy that a comparison carries."""

    BETTER = "established better"
    WORSE = "established worse"
    WORSE_THAN_MARGIN = "worse by more than the margin"
    EQUIVALENT = "equivalent within the margin"
    NOT_INFERIOR = "not inferior"
    FLOOR = "no claim: floor"
    """Both accuracies are so near 0 (or, on few problems, 1) that the tests are not to be trusted."""
    SUGGESTED = "suggested, not established"
    """The interval leaves out zero, and the test adjusted for the family does not agree."""
    OPEN = "not established"
