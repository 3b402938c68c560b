"""The verbs of the command line as Python functions: they return values and print nothing unless asked to.

Every verb takes a `Study`, a path to a study file, or the name of a shipped study.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import threading
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from laconic import looks
from laconic.core.errors import Fault, InputError, LaconicError, StudyError, near_miss
from laconic.core.records import RECORDS, Outcome, Problem, Trace, Verdict
from laconic.crosschecks import faults_of, run_faults
from laconic.domains.math import MathVerifier
from laconic.estimate import Work, estimate
from laconic.explaining import Explanation, reasons
from laconic.export import HUB, ExportSummary, upload
from laconic.export import write as write_export
from laconic.funds import Funds, funds
from laconic.kept import Kept, kept, spent_before
from laconic.loading import find_study, load_study, survey
from laconic.notes import run_notes
from laconic.plan import Plan, build, pilots
from laconic.recordings import trace_faults
from laconic.references import reference_faults
from laconic.stages.generate import EndpointTeacher
from laconic.store.artifacts import Artifact, Store, remove
from laconic.store.ledger import Ledger
from laconic.store.runner import Mode, RunResult, StepState, inspect, locked
from laconic.store.runner import run as run_steps
from laconic.store.step import Step
from laconic.study import SHIPPED, Study
from laconic.verify_file import Fields, FileSummary, grade_file
from laconic.watch import StatusFile, Watch, interruptible, metered
from laconic.wiring import Wiring

StudyLike = Study | str | Path


def _study(study: StudyLike, overrides: Mapping[str, str] | None = None) -> Study:
    if not isinstance(study, Study):
        return load_study(study, overrides=overrides)
    faults = faults_of(study)
    if faults:
        raise StudyError(faults, study=study.name)
    return study


def open_store(study: Study | None = None, store: str | Path | None = None) -> Store:
    """The store: `store`, else `LACONIC_STORE`, else the study's `run.store`, else `.laconic` in the working folder."""
    named = store or os.environ.get("LACONIC_STORE") or (study.run.store if study else None) or ".laconic"
    return Store(Path(named).expanduser().resolve())


@contextlib.contextmanager
def _planned(study: Study, stop: threading.Event | None = None) -> Iterator[tuple[Wiring, Plan]]:
    wiring = Wiring(study, stop)
    try:
        yield wiring, build(study, wiring)
    finally:
        wiring.close()


# -- looking ---------------------------------------------------------------------------------------------------


def studies() -> dict[str, str]:
    """Shipped studies: name to title."""
    return {
        path.stem: tomllib.loads(path.read_text(encoding="utf-8"))["title"] for path in sorted(SHIPPED.glob("*.toml"))
    }


def new(file: str | Path, *, source: str = "miniature") -> Path:
    """Copy a shipped study to `file`, to edit. Raises `InputError` rather than overwrite."""
    target = Path(file)
    if not target.parent.is_dir():
        raise InputError(f"no folder {str(target.parent)!r}", "a folder that exists", "make it, or choose another")
    if target.exists():
        raise InputError(f"{str(target)!r} is there already", "a new file", "choose another name, or remove it")
    shutil.copyfile(find_study(source), target)
    return target


def check(study: StudyLike, *, overrides: Mapping[str, str] | None = None) -> list[Fault]:
    """Everything that stands in the way of running: faults of the file, missing files, endpoints and keys; and, as
    warnings, references that the verifier cannot use and traces that no problem is matched by. Where the file has
    faults, what can be said of its sound parts is said as well."""
    try:
        loaded, faults = (study, faults_of(study)) if isinstance(study, Study) else survey(study, overrides=overrides)
    except LaconicError as error:
        return list(error.faults)
    if loaded is None:
        return faults
    return [*faults, *run_faults(loaded), *reference_faults(loaded, faults), *trace_faults(loaded, faults)]


def plan(
    study: StudyLike, *, store: str | Path | None = None, overrides: Mapping[str, str] | None = None
) -> list[StepState]:
    """Where every step stands: `cached`, `owed` (made, with failed rows to ask again), `missing`, or `waiting` for
    inputs whose content is not known yet."""
    loaded = _study(study, overrides)
    with _planned(loaded) as (_, planned):
        return inspect(open_store(loaded, store), [planned.report])


class Bill(NamedTuple):
    """A plan and what it will take."""

    states: list[StepState]
    works: dict[str, Work]
    """Step name to requests, tokens, GPU hours and money, from what the ledgers hold already and from stated rates."""
    funds: list[Funds]
    """Each limit of `run.budget`: spent, left, and owed."""
    lost: dict[str, int]
    """Endpoint to the records of its ledger that failed their checksum and are asked again."""
    store: Path


def bill(study: StudyLike, *, store: str | Path | None = None, overrides: Mapping[str, str] | None = None) -> Bill:
    """The plan with what each owed step will take, and whether the budget has room for it."""
    loaded = _study(study, overrides)
    place = open_store(loaded, store)
    with _planned(loaded) as (_, planned):
        states = inspect(place, [planned.report])
        ledgers = _kept(planned, states, place)
    works = estimate(planned, states, ledgers)
    spent = spent_before(loaded, planned.spent_in(states), place)
    # Where a step is done, its replies are in use as they are: a run does not pay for them again.
    undone = {state.step for state in states if state.artifact is None}
    lost = {n: kept.lost for n, kept in ledgers.items() if kept.lost and planned.teachers[n][0] in undone}
    return Bill(states, works, funds(loaded, works, spent), lost, place.root)


def _kept(planned: Plan, states: list[StepState], place: Store) -> dict[str, Kept]:
    """What the ledgers of endpoints hold, once the problems are known."""
    made = {state.step: state.artifact for state in states}
    artifact = made[planned.problems]
    if artifact is None:
        return {}
    problems = list(artifact.read("problems", Problem))
    cached = {state.step for state in states if state.state == "cached"}
    owed = [name for name, (traces, _) in planned.teachers.items() if traces not in cached]
    asked = {name: problems for name in owed if isinstance(planned.study.teachers[name], EndpointTeacher)}
    for name in asked:
        before = planned.study.teachers[name].after
        verdicts = made[planned.teachers[before][1]] if before is not None else None
        if verdicts is not None:
            right = {v.problem_id for v in verdicts.read("verdicts", Verdict) if v.outcome == Outcome.CORRECT}
            asked[name] = [problem for problem in problems if problem.problem_id in right]
    return {name: kept(planned.study, name, place, rows) for name, rows in asked.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """What one endpoint did in a pilot."""

    teacher: str
    asked: int
    errors: int
    truncated: int
    correct: int
    completion_tokens: int
    """Of all traces together."""
    seconds: float
    """Mean latency of a reply."""


def pilot(
    study: StudyLike, problems: int, *, store: str | Path | None = None,
    overrides: Mapping[str, str] | None = None, quiet: bool = True,
) -> list[Pilot]:  # fmt: skip
    """Really ask each endpoint so many of the problems (the same random ones), and grade the replies. They stay in the
    ledger, so `bill` extrapolates from them and `run` does not ask them again.

    Raises `InputError` when no teacher is an endpoint, and what `run` raises.
    """
    loaded = _study(study, overrides)
    place, stop = open_store(loaded, store), threading.Event()
    with _planned(loaded, stop) as (wiring, planned):
        steps = pilots(planned, wiring, problems)
        if not steps:
            raise InputError("a pilot, and no teacher is an endpoint", "an endpoint to ask", "leave --pilot out")
        _raise_faults(loaded, wiring, list(steps))
        wiring.count_earlier(planned.spent_in(inspect(place, [planned.report])), place)
        targets = list(steps.values())
        watch = Watch(StatusFile(_status_path(place, loaded), loaded.name, len(targets) + 1), quiet=quiet)
        with interruptible(wiring, watch), watch:
            result = run_steps(place, targets, watch, stop=stop)
    return [_pilot(name, result.artifacts[step]) for name, step in steps.items()]


def _raise_faults(study: Study, wiring: Wiring, asking: list[str]) -> None:
    """Raise `StudyError` with all that stands in the way of running, the endpoints' own faults included."""
    faults = run_faults(study) or wiring.endpoint_faults(asking)
    if faults:
        raise StudyError(faults, study=study.name)


def _pilot(name: str, artifact: Artifact) -> Pilot:
    traces = list(artifact.read("traces", Trace))
    verdicts = list(artifact.read("verdicts", Verdict))
    latencies = [trace.latency_s for trace in traces if trace.latency_s is not None]
    return Pilot(
        teacher=name, asked=len(traces), errors=sum(trace.error is not None for trace in traces),
        truncated=sum(trace.finish_reason == "length" for trace in traces),
        correct=sum(verdict.outcome == Outcome.CORRECT for verdict in verdicts),
        completion_tokens=sum(trace.completion_tokens or 0 for trace in traces),
        seconds=sum(latencies) / len(latencies) if latencies else 0.0,
    )  # fmt: skip


def status(study: StudyLike, *, store: str | Path | None = None) -> dict[str, Any]:
    """Where the last or the present run of a study stands, as its process wrote it down."""
    loaded = _study(study)
    place = open_store(loaded, store)
    try:
        facts: dict[str, Any] = json.loads(_status_path(place, loaded).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"study": loaded.name, "state": "never run", "store": str(place.root)}
    if facts["state"] == "running" and not _alive(facts["pid"]):
        facts |= {"state": "killed", "why": "its process is gone and left no word"}
    return {**facts, "store": str(place.root)}


def _status_path(store: Store, study: Study) -> Path:
    return store.root / "runs" / f"{study.name}.json"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


# -- running ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class RunSummary:
    """What a run did and where its report lies."""

    study: str
    report: Path | None
    """None for a run that was to end before the report."""
    executed: list[str]
    steps: int
    seconds: float
    store: Path
    summary: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])
    """Rows that failed, records that were damaged: what the next run will ask again."""


def run(
    study: StudyLike,
    *,
    store: str | Path | None = None,
    mode: Mode = "cached",
    steps: tuple[str, ...] = (),
    until: str | None = None,
    overrides: Mapping[str, str] | None = None,
    reports: str | Path = "reports",
    quiet: bool = True,
) -> RunSummary:
    """Run what is missing and put the report at `reports/<study>/`; with `until`, only that step or stage and what it
    stands on (`curate`: the corpus, without a student).

    Raises `StudyError` before anything starts, `RunStopped` when interrupted, and the first failing step's error.
    """
    loaded = _study(study, overrides)
    place = open_store(loaded, store)
    if steps and mode != "force":
        found = f"--step {' --step '.join(steps)} with --mode {mode}, which executes what is missing whatever its step"
        todo = f"add --mode force to execute it again, or end there with --until {steps[0]}"
        raise InputError(found, "--mode force, which --step narrows", todo)
    stop = threading.Event()
    with _planned(loaded, stop) as (wiring, planned):
        states = inspect(place, [planned.report])
        _check_steps(steps, states)
        targets = [planned.report]
        if until is not None:
            _check_steps((until,), states)
            targets = [state.step for state in states if until in (state.step.name, state.step.stage)]
            states = inspect(place, targets)
        if mode == "cached" and all(state.state == "cached" for state in states):
            result = RunResult({state.step: state.artifact for state in states if state.artifact is not None})
            return _summary(loaded, result, planned.report, len(states), place, Path(reports))
        _raise_faults(loaded, wiring, planned.asking(states, place, mode, frozenset(steps)))
        wiring.count_earlier(planned.spent_in(states), place)
        watch = Watch(StatusFile(_status_path(place, loaded), loaded.name, len(states)), quiet=quiet)
        left = planned.left(states, wiring, place) if mode == "cached" else {}
        with interruptible(wiring, watch), watch:
            for step, why in left.items():
                watch.left(step, why)
            result = run_steps(
                place, targets, watch, mode=mode, forced=frozenset(steps), left=frozenset(left), stop=stop
            )
    return _summary(loaded, result, planned.report, len(states), place, Path(reports))


def _check_steps(steps: tuple[str, ...], states: list[StepState]) -> None:
    known = {state.step.name for state in states} | {state.step.stage for state in states}
    for name in steps:
        if name not in known:
            raise InputError(f"no step or stage {name!r}", near_miss(name, known), "see `laconic plan STUDY`")


def _summary(study: Study, result: RunResult, last: Step, steps: int, place: Store, reports: Path) -> RunSummary:
    artifact = result.artifacts.get(last)
    done = RunSummary(
        study.name, None, result.executed, steps, result.seconds, place.root, notes=run_notes(result)
    )  # fmt: skip
    if artifact is None:
        return done
    folder = reports / study.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for entry in artifact.manifest.files:
            shutil.copyfile(artifact.folder / entry.path, folder / entry.path)
    except OSError as error:
        raise InputError(
            f"{folder}: {error.strerror}", "a folder for the report that can be written",
            f"choose another with --reports; the report itself is {artifact.folder}",
        ) from error  # fmt: skip
    lines = (artifact.folder / "summary.txt").read_text(encoding="utf-8").splitlines()
    return replace(done, report=folder / "report.html", summary=lines)


def report(
    study: StudyLike, *, store: str | Path | None = None, reports: str | Path = "reports",
    overrides: Mapping[str, str] | None = None,
) -> RunSummary:  # fmt: skip
    """Put the report of a finished study at `reports/<study>/`, drawing it anew if only that is missing.

    Raises `InputError` when other steps are missing.
    """
    loaded = _study(study, overrides)
    place = open_store(loaded, store)
    states = plan(loaded, store=store)
    missing = [state.step.name for state in states[:-1] if state.artifact is None]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(states)} steps are not done, {missing[0]} first", "a finished study",
            "laconic run STUDY",
        )  # fmt: skip
    if (last := states[-1]).artifact is None:
        return run(loaded, store=store, reports=reports)
    made = RunResult({state.step: state.artifact for state in states if state.artifact is not None})
    return _summary(loaded, made, last.step, len(states), place, Path(reports))


# -- explaining ------------------------------------------------------------------------------------------------


def explain(
    study: StudyLike, *, store: str | Path | None = None, step: str | None = None,
    overrides: Mapping[str, str] | None = None,
) -> list[Explanation]:  # fmt: skip
    """Field by field, why each step would run again: against the nearest artifact of the same stage and label."""
    loaded = _study(study, overrides)
    place = open_store(loaded, store)
    states = plan(loaded, store=store)
    if step is not None:
        _check_steps((step,), states)
        states = [state for state in states if step in (state.step.name, state.step.stage)]
    earlier = list(place.artifacts())
    return [Explanation(s.step.name, s.state, tuple(reasons(s, earlier))) for s in states]


# -- showing ---------------------------------------------------------------------------------------------------


def show(
    study: StudyLike, *, table: str = "scores", step: str | None = None, problem: str | None = None,
    limit: int = 20, store: str | Path | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Rows of a table, from all finished steps of the study or from one; those of one problem if asked."""
    if table not in RECORDS:
        raise InputError(f"no table {table!r}", near_miss(table, RECORDS), "name one of the tables")
    loaded = _study(study)
    states = plan(loaded, store=store)
    if step is not None:
        _check_steps((step,), states)
    rows: list[dict[str, Any]] = []
    for state in states:
        if state.artifact is None or (step is not None and step not in (state.step.name, state.step.stage)):
            continue
        for record in state.artifact.read(table, RECORDS[table]):
            row = {"step": state.step.name, **asdict(record)}
            if problem is None or str(row.get("problem_id", row.get("subject", ""))).startswith(problem):
                rows.append(row)
            if len(rows) >= limit:
                return rows
    return rows


def side_by_side(study: StudyLike, problem: str, *, store: str | Path | None = None) -> dict[str, Any]:
    """One problem (by the beginning of its id) with every author's first trace and its verdict; where several ids
    begin so, the first of them, and how many there are."""
    loaded = _study(study)
    states = [state for state in plan(loaded, store=store) if state.artifact is not None]
    matches: dict[str, Problem] = {}
    verdicts: dict[tuple[str, str], Verdict] = {}
    works: list[tuple[str, Trace]] = []
    for state in states:
        assert state.artifact is not None
        if state.step.stage == "problems":
            rows = state.artifact.read("problems", Problem)
            matches |= {row.problem_id: row for row in rows if row.problem_id.startswith(problem)}
        for verdict in state.artifact.read("verdicts", Verdict):
            if verdict.problem_id.startswith(problem):
                verdicts[state.step.label, verdict.trace_id] = verdict
        for trace in state.artifact.read("traces", Trace):
            if trace.problem_id.startswith(problem) and trace.sample_index == 0:
                works.append((state.step.label, trace))
    if not matches:
        raise InputError(
            f"no problem {problem!r}", "the beginning of a problem's id", "see `laconic show STUDY --table problems`"
        )
    found = next(iter(matches.values()))
    return {
        "problem": asdict(found),
        "matches": len(matches),
        "traces": [
            {"author": label, **asdict(t), "outcome": _outcome(verdicts.get((label, t.trace_id)))}
            for label, t in works
            if t.problem_id == found.problem_id
        ],
    }


def _outcome(verdict: Verdict | None) -> str | None:
    return verdict.outcome if verdict is not None else None


LOOKS = {"funnel": looks.funnel, "lengths": looks.lengths, "profile": looks.profiles, "examples": looks.examples}
"""What `look` can show of a study."""


def look(
    study: StudyLike, view: str, *, store: str | Path | None = None, step: str | None = None, limit: int = 20
) -> list[dict[str, Any]]:
    """One view of what is in the store so far: `funnel`, `lengths`, `profile` or `examples`; of one step or stage, or
    of all. Raises `InputError`, also when there is nothing to see yet."""
    if view not in LOOKS:
        raise InputError(f"no view {view!r}", near_miss(view, LOOKS), "name one of the views, or use --table")
    loaded = _study(study)
    with _planned(loaded) as (_, planned):
        states = inspect(open_store(loaded, store), [planned.report])
        if step is not None:
            _check_steps((step,), states)
        found = {
            state.step.name: state.artifact
            for state in states
            if state.artifact is not None and step in (None, state.step.name, state.step.stage)
        }
    rows = LOOKS[view](loaded, found)[:limit]
    if not rows:
        whose = f" of {step}" if step else ""
        until = "" if view == "examples" and not loaded.arms else f" --until {looks.needed(loaded, view)}"
        raise InputError(f"nothing for the view {view!r}{whose}", "steps that are done", f"laconic run STUDY{until}")
    return rows


# -- exporting -------------------------------------------------------------------------------------------------


def export(study: StudyLike, to: str | Path, *, store: str | Path | None = None, public: bool = False) -> ExportSummary:
    """Every arm as Parquet in the conversational layout, with a card, in a new folder or at `hf://user/name` (private
    unless `public`). Raises `InputError` when arms are not built yet."""
    loaded = _study(study)
    with _planned(loaded) as (_, planned):
        states = {s.step: s for s in inspect(open_store(loaded, store), [planned.report])}
        arms = {
            f"{a}" if rule == "problems" else f"{a}-{rule}": states[step] for (a, rule), step in planned.arms.items()
        }
        missing = [name for name, state in arms.items() if state.artifact is None]
        if missing:
            raise InputError(f"{', '.join(missing)}: not built", "every arm in the store", "laconic run STUDY")
        built = {name: state.artifact for name, state in arms.items() if state.artifact is not None}
        found = {s.step.name: s.artifact for s in states.values() if s.artifact is not None}
    funnel, name = looks.funnel(loaded, found), str(to)
    if not name.startswith(HUB):
        return write_export(loaded, built, funnel, Path(to))
    with tempfile.TemporaryDirectory() as folder:
        written = write_export(loaded, built, funnel, Path(folder))
        upload(Path(folder), name.removeprefix(HUB), public=public)
    return replace(written, place=name)


# -- verifying files -------------------------------------------------------------------------------------------


def verify_file(
    file: str | Path, *, out: str | Path | None = None, gold: str = "gold", prediction: str = "prediction",
    finish: str | None = None, workers: int | None = None, limit_s: float = 5.0, quiet: bool = True,
) -> FileSummary:  # fmt: skip
    """Grade every row of a JSONL file (`-` is standard input) into `out`, by default FILE.verified.jsonl; a second
    call goes on after the last whole row.

    Raises `InputError` for a fault of the whole file, `RunStopped` when interrupted.
    """
    if not limit_s > 0 or (workers is not None and workers < 1):
        found = f"a limit of {limit_s:g} s and {workers or 'as many workers as cores'}"
        raise InputError(found, "some time a row and at least one worker", "change --limit or --workers")
    fields = Fields(gold=gold, prediction=prediction, finish=finish)
    with (
        MathVerifier(workers or os.cpu_count() or 1, limit_s) as verifier,
        metered("verify", quiet=quiet) as meter,
    ):
        return grade_file(file, out=out, fields=fields, verifier=verifier, progress=meter)


# -- tidying ---------------------------------------------------------------------------------------------------


def gc(*, store: str | Path | None = None, keep: tuple[StudyLike, ...] = (), dry_run: bool = False) -> dict[str, Any]:
    """Remove what interrupted steps left behind and compact ledgers; with `keep`, also every artifact that those
    studies do not use. What a step made that is missing now stays: it may be used again once its inputs are there.

    Nothing paid for is removed: ledgers keep the newest response of every call. Raises `StoreError` during a run.
    """
    place = _store_of(keep, store)
    if not (place.root / "run.lock").is_file():
        raise InputError(f"no store at {str(place.root)!r}", "a store that a run has made", "check --store")
    with locked(place):
        torn = list(place.torn())
        unused = list(_unused(place, keep)) if keep else []
        freed = sum(_size(folder) for folder in [*torn, *unused])
        if not dry_run:
            for folder in [*torn, *unused]:
                remove(folder)
            freed += sum(_compact(path) for path in sorted((place.root / "ledger").glob("*.ledger")))
    names = {"torn": torn, "unused": unused}
    listed = {name: [str(p.relative_to(place.root)) for p in paths] for name, paths in names.items()}
    return {**listed, "bytes": freed, "dry_run": dry_run}


def _store_of(keep: tuple[StudyLike, ...], store: str | Path | None) -> Store:
    """The one store of the studies to keep. Raises `InputError` when they name different ones."""
    places = {open_store(_study(study), store).root for study in keep} or {open_store(None, store).root}
    if len(places) > 1:
        raise InputError(
            f"studies in different stores: {', '.join(map(str, sorted(places)))}", "one store", "name it with --store"
        )
    return Store(places.pop())


def _unused(store: Store, keep: tuple[StudyLike, ...]) -> Iterator[Path]:
    states = [state for study in keep for state in plan(study, store=store.root)]
    used = {state.artifact.folder for state in states if state.artifact is not None}
    # A step that waits for another has no key yet: what it made earlier may be what it is going to need.
    unknown = {(state.step.stage, state.step.label) for state in states if state.artifact is None}
    for artifact in store.artifacts():
        named = (artifact.manifest.stage, artifact.manifest.label)
        if artifact.folder not in used and named not in unknown:
            yield artifact.folder


def _compact(path: Path) -> int:
    before = path.stat().st_size
    with Ledger.open(path) as ledger:
        ledger.compact()
    return max(0, before - path.stat().st_size)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
