"""The verbs of the command line as Python functions: they return values and print nothing unless asked to.

Every verb takes a `Study`, a path to a study file, or the name of a shipped study. This file is the list of what is
public. Each of the others holds a verb, under the name that it has in `cli/`; `_session.py` holds what all begin with.
"""

from lakon.api._benchmarks import benchmarks
from lakon.api._compare import compare
from lakon.api._eval import PreparedEval, prepare_eval
from lakon.api._explain import explain
from lakon.api._export import export
from lakon.api._gc import gc
from lakon.api._pilot import Pilot, pilot
from lakon.api._plan import Bill, bill, plan
from lakon.api._run import RunSummary, report, run
from lakon.api._session import StudyLike, open_store
from lakon.api._show import LOOKS, look, show, side_by_side
from lakon.api._status import status
from lakon.api._study import check, list_unchecked, new, studies
from lakon.api._verify import verify_file

__all__ = [
    "LOOKS",
    "Bill",
    "Pilot",
    "PreparedEval",
    "RunSummary",
    "StudyLike",
    "benchmarks",
    "bill",
    "check",
    "compare",
    "explain",
    "export",
    "gc",
    "list_unchecked",
    "look",
    "new",
    "open_store",
    "pilot",
    "plan",
    "prepare_eval",
    "report",
    "run",
    "show",
    "side_by_side",
    "status",
    "studies",
    "verify_file",
]
