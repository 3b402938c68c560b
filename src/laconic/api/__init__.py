"""The verbs of the command line as Python functions: they return values and print nothing unless asked to.

Every verb takes a `Study`, a path to a study file, or the name of a shipped study. This file is the list of what is
public; each of the others holds the verbs of one occasion, and `opening.py` what all of them begin with.
"""

from laconic.api.exporting import export
from laconic.api.grading import verify_file
from laconic.api.looking import LOOKS, explain, look, show, side_by_side, status
from laconic.api.opening import StudyLike, open_store
from laconic.api.piloting import Pilot, pilot
from laconic.api.planning import Bill, bill, plan
from laconic.api.running import RunSummary, report, run
from laconic.api.tidying import gc
from laconic.api.writing import check, new, studies, unchecked

__all__ = [
    "LOOKS",
    "Bill",
    "Pilot",
    "RunSummary",
    "StudyLike",
    "bill",
    "check",
    "explain",
    "export",
    "gc",
    "look",
    "new",
    "open_store",
    "pilot",
    "plan",
    "report",
    "run",
    "show",
    "side_by_side",
    "status",
    "studies",
    "unchecked",
    "verify_file",
]
