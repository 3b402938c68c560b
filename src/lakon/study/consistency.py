"""What is wrong between the parts of a study that pydantic cannot see in any one of them, all of it at once.

`faults_of` asks only whether the study fits together; `run_faults` asks what stands in the way of a run
here. Neither touches a network. Names that nothing has come with the nearest one that something has.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lakon.core.errors import Fault, InputError, near_miss
from lakon.core.plugins import find_plugin
from lakon.domains import registry
from lakon.stages.curate.styles import STYLES
from lakon.stages.evaluate.prompting import PROMPTS
from lakon.stages.verify.overrides import find_override_faults
from lakon.study.benchmarks import BENCHMARKS
from lakon.study.schema import JUDGE, Study, asking_order


def faults_of(study: Study) -> list[Fault]:
    """What is wrong between the parts: names that nothing has, files that are not there, clashes."""
    faults: list[Fault] = []
    for name, arm in study.arms.items():
        for teacher in arm.teachers:
            if teacher not in study.teachers:
                faults.append(_unknown(f"arms.{name}.{arm.how}", "teacher", teacher, study.teachers))
        faults.extend(_style_fault(f"arms.{name}.style", arm.style))
        if arm.strategy is not None:
            faults.extend(_plugin_fault(f"arms.{name}.strategy", arm.strategy, {}, "strategy"))
        if arm.route is not None and arm.route.of is not None and arm.route.of not in study.teachers:
            faults.append(_unknown(f"arms.{name}.route.of", "teacher", arm.route.of, study.teachers))
    for path in study.curate.filters.custom:
        faults.extend(_plugin_fault("curate.filters.custom", path, {}, "filter"))
    if study.curate.count_needed(len(study.teachers)) > len(study.teachers):
        found = f"at_least = {study.curate.count_needed(0)} of {len(study.teachers)} teachers"
        faults.append(Fault("curate.require", found, f"at most {len(study.teachers)} teachers", "make it smaller"))
    benchmarks = {**BENCHMARKS, **study.benchmarks}
    faults.extend(
        _unknown("evaluate.benchmarks", "benchmark", name, benchmarks)
        for name in study.evaluate.benchmarks
        if name not in benchmarks
    )
    samples = study.evaluate.samples
    faults.extend(
        Fault(
            "evaluate.pass_at",
            f"k = {k} with evaluate.samples = {samples}",
            f"a k from 1 to {samples}",
            "draw more samples or choose a smaller k",
        )
        for k in study.evaluate.pass_at
        if k > samples
    )
    faults.extend(_domain_fault("problems.domain", study.problems.domain))
    for name, source in study.benchmarks.items():
        faults.extend(_domain_fault(f"benchmarks.{name}.domain", source.domain))
    faults.extend(_author_faults(study))
    faults.extend(_arm_faults(study))
    faults.extend(_teacher_faults(study))
    faults.extend(_file_faults(study))
    authors = {**study.teachers, **study.served}
    for table, named in (("run.endpoints", study.run.endpoints), ("run.prices", study.run.prices)):
        faults.extend(_unknown(table, "teacher", name, authors) for name in named if name not in authors)
    faults.extend(_judge_faults(study))
    faults.extend(_template_faults(study))
    return faults


def _author_faults(study: Study) -> list[Fault]:
    """Of those who answer benchmarks beside bases and students."""
    faults: list[Fault] = []
    spec = study.evaluate
    if not study.teachers and not spec.authors:
        todo = "add a table [teachers.NAME], or [evaluate.authors.NAME] for a study that only evaluates"
        faults.append(Fault("teachers", "no teacher", "at least one", todo))
    if study.teachers and not study.has_problems:
        faults.append(Fault("problems", "teachers, and no problems", "what they are asked", "add a table [problems]"))
    if spec.authors and not spec.benchmarks:
        todo = 'add benchmarks = ["..."] under [evaluate]'
        faults.append(Fault("evaluate.benchmarks", "authors but no benchmark", "at least one benchmark", todo))
    for name in spec.prompting:
        known = {**PROMPTS, **spec.prompts}
        if name not in known:
            faults.append(_unknown("evaluate.prompting", "way of prompting", name, known))
        elif spec.way(name).examples and not study.teachers:
            todo = "leave it out, or add a teacher, whose correct answers are shown"
            faults.append(Fault("evaluate.prompting", f"{name!r} and no teacher", "worked examples to show", todo))
    faults.extend(_twice("evaluate.prompting", spec.prompting))
    for name in spec.teachers:
        if name not in study.teachers:
            faults.append(_unknown("evaluate.teachers", "teacher", name, study.teachers))
    taken = {**study.teachers, **study.arms, "base": None, JUDGE: None}
    for name, author in spec.authors.items():
        where = f"evaluate.authors.{name}"
        if name in taken:
            todo = "rename it; a teacher answers benchmarks when evaluate.teachers names it"
            faults.append(Fault(where, f"a name that a teacher, an arm or Lakon has: {name!r}", "another name", todo))
        drawn = study.authors[name].samples
        for k in spec.pass_at:
            if drawn < k <= spec.samples:
                todo = f"draw {k} samples of it, or choose a smaller k"
                faults.append(Fault(f"{where}.samples", f"{drawn}, and evaluate.pass_at = {k}", f"at least {k}", todo))
        if author.if_correct is not None or author.stops_when_correct:
            found = "an author of an evaluation that is not asked every problem as often"
            faults.append(Fault(where, found, "samples alone", "remove `until` and `if_correct`"))
    return faults


def _arm_faults(study: Study) -> list[Fault]:
    faults: list[Fault] = []
    baseline, budget = study.evaluate.baseline, study.curate.token_budget
    known = {**study.arms, **study.authors}
    if baseline is not None and baseline not in known:
        faults.append(_unknown("evaluate.baseline", "arm", baseline, known))
    if isinstance(budget, str) and budget not in ("largest", "smallest") and budget not in study.arms:
        faults.append(_unknown("curate.token_budget", "arm", budget, study.arms))
    if study.students and not study.arms:
        faults.append(Fault("students", "students but no arm", "at least one arm", "add a table [arms.NAME]"))
    if study.students and not study.evaluate.benchmarks:
        todo = 'add benchmarks = ["..."] under [evaluate]'
        faults.append(Fault("evaluate.benchmarks", "students but no benchmark", "at least one benchmark", todo))
    for student in study.students:
        named_arms = [name for name in student.trained if name not in study.arms]
        faults.extend(_unknown("students.trained", "arm", name, study.arms) for name in named_arms)
    labels = [student.label for student in study.students]
    for label in sorted(set(labels)):
        if labels.count(label) > 1:
            todo = "give one of them a name = ..."
            faults.append(Fault("students", f"two students called {label!r}", "a name for each", todo))
    clash = set(study.arms) & {"base"}
    faults.extend(
        Fault(f"arms.{n}", f"an arm called {n!r}", "a name that is not taken", "rename the arm") for n in clash
    )
    named = study.arms.get(budget) if isinstance(budget, str) else None
    for rule in ("tokens", "steps"):
        if named is not None and rule in study.curate.match and rule not in (named.match or (rule,)):
            found, todo = f"{budget!r}, an arm that opted out of `{rule}`", f"name an arm that is built under `{rule}`"
            faults.append(Fault("curate.token_budget", found, "one that did not", todo))
    if baseline in study.arms and study.arms[baseline].match is not None:
        missing = sorted(set(study.curate.match) - set(study.arms[baseline].match or ()))
        if missing:
            found = f"{baseline!r}, which is not built under {', '.join(missing)}"
            faults.append(Fault("evaluate.baseline", found, "an arm that every rule has", "name another arm"))
    faults.extend(_twice("training.seeds", study.training.seeds))
    faults.extend(_twice("evaluate.benchmarks", study.evaluate.benchmarks))
    if "problems" in study.benchmarks:
        faults.append(Fault("benchmarks.problems", "a benchmark called 'problems'", "another name", "rename it"))
    for name, arm in study.arms.items():
        extra = set(arm.match or ()) - set(study.curate.match)
        if extra:
            faults.append(
                Fault(
                    f"arms.{name}.match",
                    f"{sorted(extra)}",
                    f"rules of curate.match: {list(study.curate.match)}",
                    "add the rule to curate.match or remove it here",
                )
            )
    return faults


def _teacher_faults(study: Study) -> list[Fault]:
    faults: list[Fault] = []
    for name, teacher in study.teachers.items():
        where = f"teachers.{name}"
        if teacher.if_correct is not None and teacher.if_correct not in study.teachers:
            faults.append(_unknown(f"{where}.if_correct", "teacher", teacher.if_correct, study.teachers))
        elif name not in asking_order(study.teachers) and teacher.if_correct in study.teachers:
            first = teacher.if_correct
            found = f"{name!r} waits for {first!r}, which waits for it in turn (or for a teacher that is not there)"
            faults.append(
                Fault(f"{where}.if_correct", found, "one teacher that waits for none", "remove one `if_correct`")
            )
        if teacher.stops_when_correct and teacher.samples == 1:
            todo = "give it samples = 4, say"
            faults.append(Fault(f"{where}.until", "`until` with a single sample", "the most samples to draw", todo))
    if study.run.budget.money is not None:
        for name in study.served:
            price = study.run.prices.get(name)
            if price is None or price.output_per_million == 0:
                todo = f"state prices.{name} = {{ input_per_million = ..., output_per_million = ... }} under [run]"
                faults.append(Fault("run.budget.money", f"no price for {name!r}", "a price for every endpoint", todo))
    if study.run.compute is not None:
        labels = [student.label for student in study.students]
        faults.extend(
            _unknown("run.compute.parameters", "student", n, dict.fromkeys(labels))
            for n in study.run.compute.parameters
            if n not in labels
        )
    return faults


def _judge_faults(study: Study) -> list[Fault]:
    if study.verify.judge is None or JUDGE not in study.teachers:
        return []
    found = f"a teacher called {JUDGE!r} beside a judge: run.endpoints.{JUDGE} would be both"
    return [Fault(f"teachers.{JUDGE}", found, "a name that is not taken", "rename the teacher")]


def _twice(where: str, values: Sequence[object]) -> list[Fault]:
    repeated = sorted({str(value) for value in values if list(values).count(value) > 1})
    return [Fault(where, f"{value} twice", "each once", "remove one") for value in repeated]


NO_FILE = "no file ''"
"""Found where traces should be rows of the problems' own source, and problems have none."""


def _file_faults(study: Study) -> list[Fault]:
    named: list[tuple[str, str | None]] = []
    named += [(f"evaluate.authors.{n}.path", author.traces_path) for n, author in study.evaluate.authors.items()]
    named.append(("problems.path", study.problems.file_path))
    named += [(f"benchmarks.{name}.path", source.file_path) for name, source in study.benchmarks.items()]
    for name, teacher in study.recorded.items():
        path = "" if teacher.path is None and study.problems.is_generated else teacher.path
        named.append((f"teachers.{name}.path", path))
    rulings = study.verify.overrides
    named.append(("verify.overrides", rulings))
    return [
        Fault(where, f"no file {path!r}", "a file that exists", "check the path; it is relative to the study file")
        for where, path in named
        if path is not None and not (path and _is_readable(Path(path)))
    ] + (find_override_faults(rulings) if rulings is not None and Path(rulings).is_file() else [])


def _is_readable(path: Path) -> bool:
    return path.is_file() or any(path.rglob("*.parquet"))


def _template_faults(study: Study) -> list[Fault]:
    with_own = {  # an inherited fault is told once
        f"teachers.{name}": teacher for name, teacher in study.teachers.items() if teacher.template != study.prompt
    }
    with_own |= {f"evaluate.authors.{name}": author for name, author in study.evaluate.authors.items()}
    templates = {"prompt": study.prompt, **{f"{name}.prompt": t.template for name, t in with_own.items()}}
    return [
        Fault(where, repr(text[:60]), "a text with {problem} in it", "put {problem} where the problem's text goes")
        for where, text in templates.items()
        if "{problem}" not in text
    ]


def _plugin_fault(where: str, name: str, table: Mapping[str, Any], what: str) -> list[Fault]:
    try:
        find_plugin(name, table, what)
    except InputError as error:
        return [error.fault._replace(where=where)]
    return []


def _domain_fault(where: str, name: str) -> list[Fault]:
    try:
        registry.domain(name)
    except InputError as error:
        return [error.fault._replace(where=where)]
    return []


def _style_fault(where: str, name: str) -> list[Fault]:
    faults = _plugin_fault(where, name, STYLES, "style")
    if faults or name in STYLES:
        return faults
    style = find_plugin(name, STYLES, "style")
    try:
        inspect.signature(style).bind("", "", None)
    except (TypeError, ValueError) as error:
        expected = "a function (reasoning, answer, extracted) -> (reasoning, answer) or None"
        return [Fault(where, f"{name!r} cannot be called so: {error}", expected, "change the function")]
    return []


def _unknown(where: str, what: str, name: str, known: Mapping[str, Any]) -> Fault:
    return Fault(where, f"no {what} is called {name!r}", near_miss(name, known), f"rename it or add the {what}")


def _missing_extras(study: Study) -> list[Fault]:
    sources = [study.problems, *(study.benchmark(name) for name in study.evaluate.benchmarks)]
    needed: dict[str, str] = {}
    if any(source.may_be_on_hub for source in sources):
        needed["datasets"] = "a data set of the hub"
    asked = (*study.teachers.values(), *study.evaluate.authors.values())
    if study.students or any(author.model_folder is not None for author in asked):
        needed |= dict.fromkeys(("torch", "transformers", "trl"), "a model to train or to sample")
    return [
        Fault("installation", f"no package {name!r}, and {why}", "the extra `train`", "pip install 'lakon[train]'")
        for name, why in needed.items()
        if importlib.util.find_spec(name) is None
    ]


def run_faults(study: Study) -> list[Fault]:
    """What stands in the way of running (as opposed to planning): endpoints without a URL, key variables that are not
    set, extras that are not installed."""
    faults = _missing_extras(study)
    for name in study.served:
        endpoint = study.run.endpoints.get(name)
        if endpoint is None:
            todo = f'add endpoints.{name} = {{ url = "http://127.0.0.1:8000/v1" }} under [run]'
            faults.append(Fault(f"run.endpoints.{name}", "no endpoint", f"where {name!r} is served", todo))
        elif endpoint.api_key_env and not os.environ.get(endpoint.api_key_env):
            variable = endpoint.api_key_env
            faults.append(
                Fault(
                    f"run.endpoints.{name}",
                    f"the environment variable {variable} is not set",
                    "the endpoint's key in it",
                    f"export {variable}=...",
                )
            )
    return faults
