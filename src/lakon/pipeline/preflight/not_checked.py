"""What `check` does not look at, because it asks nobody and fetches nothing, and the command that does.

A study without faults can still name a data set that is not there, or an endpoint that does not answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lakon.pipeline.places import model_path
from lakon.study.schema import Study


class Unseen(NamedTuple):
    """Things of one kind that were not looked at."""

    what: str
    names: tuple[str, ...]
    how: str
    """Who looks at them: a command, with STUDY for the study."""


def unseen(study: Study) -> list[Unseen]:
    """What of a study only a pilot or a run looks at."""
    sources = [study.problems, *map(study.benchmark, study.evaluate.benchmarks)]
    asked = any(teacher.is_served for teacher in study.teachers.values())
    how = "`lakon plan STUDY --pilot 3` asks teachers about three problems" if asked else "`lakon run STUDY` asks them"
    found = [
        Unseen("endpoints", tuple(study.served), how),
        Unseen(
            "data sets of the hub",
            tuple(source.hub_name for source in sources if source.hub_name is not None),
            "`lakon run STUDY --until problems` reads them",
        ),
        Unseen(
            "references in Parquet files",
            tuple(s.file_path for s in sources if s.file_path is not None and s.lines_path is None),
            "`lakon run STUDY --until problems` reads them",
        ),
        Unseen("recorded traces in data sets of the hub", tuple(_recorded(study)), "a run reads them"),
        Unseen("models of the hub", tuple(_models(study)), "a run fetches them"),
    ]
    return [each._replace(names=tuple(dict.fromkeys(each.names))) for each in found if each.names]


def _recorded(study: Study) -> Iterator[str]:
    """Teachers whose traces stand in the rows of the problems' own source."""
    for name, teacher in study.recorded.items():
        if teacher.path is None and study.problems.hub_name is not None:
            yield name


def _models(study: Study) -> Iterator[str]:
    teachers = [t.model_folder for t in study.teachers.values() if t.model_folder is not None]
    bases = [student.base for student in study.students]
    trained = [name for student in study.students for name in student.trained.values()]
    for name in (*teachers, *bases, *trained):
        if not Path(model_path(name)).exists():
            yield name
