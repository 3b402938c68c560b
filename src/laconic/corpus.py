"""The bodies of the steps from verified traces to arms: screen, pool, examples, matching. Only `plan.py` uses it.

Memory holds ids, counts and one batch of texts: tables are read without their long texts wherever these are not
what a step is about.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, overload

import orjson

from laconic import matching
from laconic.adapters import chat
from laconic.adapters.counting import counter
from laconic.arms import Candidate, Sample, picks
from laconic.core.plugins import lookup
from laconic.core.protocols import TokenCounter
from laconic.core.records import UNGRADED, Example, Exclusion, Outcome, Problem, Trace, Verdict
from laconic.stages import curate as curate_stage
from laconic.stages import examples as examples_stage
from laconic.stages import screen as screen_stage
from laconic.store.artifacts import Artifact
from laconic.store.step import StepContext
from laconic.study import Study
from laconic.styles import STYLES

Body = Callable[[StepContext], None]

POOL = "pool.json"
"""The paired problems' ids, and in their order each teacher's chosen trace and the pass rates (null: none)."""
TEXTS = ("reasoning", "answer")
"""The long columns of traces."""
UNSAID = ("explanation",)
"""The column of verdicts that is for people."""
UNREAD = ("prompt", "reference", "source")
"""The columns of problems that nothing here is chosen by."""


def screen(study: Study, model_path: Callable[[str], str]) -> Body:
    """Profiles of a teacher's traces, and those that the study's filters leave out."""
    filters = study.curate.filters

    def body(ctx: StepContext) -> None:
        ctx.progress.start(ctx.inputs["traces"].manifest.rows["traces"], unit="traces")
        traces, verdicts = ctx.inputs["traces"].read("traces", Trace), ctx.inputs["verdicts"]
        found = screen_stage.screen(
            zip(traces, verdicts.read("verdicts", Verdict, without=UNSAID), strict=True),
            (v.problem_id for v in verdicts.read("verdicts", Verdict, without=UNSAID)), filters,
            counters=_students_counters(study, model_path), progress=ctx.progress,
        )  # fmt: skip
        ctx.out.write("profiles", found.profiles)
        ctx.out.write("exclusions", found.exclusions)

    return body


def _students_counters(study: Study, model_path: Callable[[str], str]) -> list[TokenCounter]:
    """The tokenizers of the students that are not the common one, if over-long traces are to be found."""
    if study.curate.filters.max_tokens is None:
        return []
    return [counter(model_path(s.base)) for s in study.students if s.base != study.counting]


def pool(study: Study) -> Body:
    """Which problems can be compared, and each teacher's trace for them."""
    spec = study.curate

    def body(ctx: StepContext) -> None:
        problems = list(ctx.inputs["problems"].read("problems", Problem, without=UNREAD))
        verdicts = {name: ctx.inputs[f"verdicts:{name}"].read("verdicts", Verdict) for name in study.teachers}
        made = curate_stage.pool(
            problems, verdicts, count=spec.count, seed=study.seed, needed=spec.needed(len(study.teachers)),
            after={name: teacher.after for name, teacher in study.teachers.items() if teacher.after},
            filtered={name: _filtered(ctx.inputs, name) for name in study.teachers},
        )  # fmt: skip
        ctx.out.write("exclusions", made.exclusions)
        ctx.out.facts["problems"] = len(made.problems)
        facts = {
            "problems": [p.problem_id for p in made.problems], "pass_rate": made.pass_rate,
            "chosen": made.chosen, "rates": made.rates,
        }  # fmt: skip
        ctx.out.write_text(POOL, orjson.dumps(facts).decode())

    return body


def _filtered(inputs: Mapping[str, Artifact], teacher: str) -> dict[str, str]:
    """Traces that a filter left out, with its rule; none when no filter is on."""
    screened = inputs.get(f"screen:{teacher}")
    return {e.subject: e.rule for e in screened.read("exclusions", Exclusion)} if screened else {}


def arm(study: Study, name: str, count: Callable[[], TokenCounter]) -> Body:
    """The examples of an arm over the whole pool."""
    spec = study.arms[name]

    def body(ctx: StepContext) -> None:
        chosen = picks(_candidates(study, name, ctx.inputs), spec, study.seed)
        present = [pick for pick in chosen if pick.trace_id]
        left: list[Exclusion] = []
        ctx.out.write(
            "examples",
            examples_stage.examples(
                name, present, ctx.inputs["problems"].read("problems", Problem),
                {t: _told(ctx.inputs, t, answers="answers" in spec.needs) for t in spec.teachers},
                style=lookup(spec.style, STYLES, "style"), style_name=spec.style, template=study.prompt,
                complete=chat.render_completion, count=count().count, scratch=ctx.out.folder / "scratch",
                left=left,
            ),
        )  # fmt: skip
        ctx.out.write("exclusions", [*examples_stage.missing(name, chosen), *left])

    return body


def _told(inputs: Mapping[str, Artifact], teacher: str, *, answers: bool) -> Iterator[tuple[Trace, str | None]]:
    """A teacher's traces, with what was extracted from each where the style may look at it."""
    traces = inputs[f"traces:{teacher}"].read("traces", Trace)
    if not answers:
        return ((trace, None) for trace in traces)
    verdicts = inputs[f"verdicts:{teacher}"].read("verdicts", Verdict, without=("explanation",))
    return examples_stage.with_answers(traces, verdicts)


def match(study: Study, name: str, rule: str) -> Body:
    """An arm's examples repeated or thinned to the budget of tokens or steps that all arms share."""
    unit = rule.removesuffix("s")

    def body(ctx: StepContext) -> None:
        totals = {key.removeprefix("examples:"): _total(study, rule, _light(a)) for key, a in ctx.inputs.items()}
        stated = study.curate.token_budget
        if rule == "steps" and isinstance(stated, int):
            stated = max(1, stated // study.training.batch_tokens)
        budget = examples_stage.budget(stated, totals)
        mine = ctx.inputs[f"examples:{name}"]
        repeats = _repeats(study, rule, _light(mine), budget)
        left = list(examples_stage.unmatched(_light(mine), repeats, name, unit))
        ctx.out.write("examples", examples_stage.rematch(mine.read("examples", Example), repeats))
        ctx.out.write("exclusions", [*mine.read("exclusions", Exclusion), *left])
        ctx.out.facts[f"{unit}_budget"] = budget

    return body


def _light(artifact: Artifact) -> Iterator[Example]:
    return artifact.read("examples", Example, without=("prompt", "completion"))


def _lengths(study: Study, rows: Iterable[Example]) -> tuple[list[int], list[int]]:
    """Length and phase of every example as the trainer will see it; one that it will leave out has no length."""
    sized = [(e.n_prompt + e.n_tokens + 1, e.phase) for e in rows]
    most = study.training.max_length
    return [n if n <= most else 0 for n, _ in sized], [phase for _, phase in sized]


def _total(study: Study, rule: str, rows: Iterable[Example]) -> int:
    if rule == "tokens":
        return sum(e.n_tokens for e in rows)
    return matching.steps_of(*_lengths(study, rows), study.training.batch_tokens)


def _repeats(study: Study, rule: str, rows: Iterable[Example], budget: int) -> list[int]:
    if rule == "tokens":
        return matching.match_tokens([e.n_tokens for e in rows], budget, study.seed)
    lengths, phases = _lengths(study, rows)
    return matching.match_steps(lengths, phases, budget, batch_tokens=study.training.batch_tokens, seed=study.seed)


# -- candidates ------------------------------------------------------------------------------------------------


def _candidates(study: Study, name: str, inputs: Mapping[str, Artifact]) -> Sequence[Candidate]:
    """The pool as strategies see it; what takes a pass over verdicts or traces is there only when the arm needs it."""
    needs, facts = study.arms[name].needs, _pooled(inputs["pool"])
    pool: list[str] = facts["problems"]
    chosen: _Columns = facts["chosen"]
    shown, places, tags = _shown(pool, inputs["problems"], everything="unpaired" in needs)
    samples: _Columns = {}
    for teacher in study.arms[name].teachers if "samples" in needs else ():
        found = _samples(teacher, inputs)
        samples[teacher] = [found.get(problem_id) for problem_id in shown]
    return _Candidates(
        shown, places, tags, facts["pass_rate"], chosen, facts["rates"], samples,
        lengths=_chosen_lengths(chosen, inputs) if "lengths" in needs else {},
        agreement=_agreement(study, inputs) if "agreement" in needs else {},
    )  # fmt: skip


def _pooled(pool: Artifact) -> dict[str, Any]:
    """The columns of the pool. The standard library reads them in a fifth of the memory that orjson takes for its own
    tree of a document, 1.2 KB a problem."""
    return json.loads((pool.folder / POOL).read_bytes())


def _shown(
    pool: list[str], source: Artifact, *, everything: bool
) -> tuple[list[str], Sequence[int | None], list[Mapping[str, str]]]:
    """The problems that strategies see, where each stands in the pool (None: not there), and their tags. The pool lies
    in the order of the source."""
    ids, places, tags = list[str](), list[int | None](), list[Mapping[str, str]]()
    at = 0
    for problem in source.read("problems", Problem, without=UNREAD):
        paired = at < len(pool) and problem.problem_id == pool[at]
        if paired or everything:
            ids.append(problem.problem_id)
            places.append(at if paired else None)
            tags.append(_tags(problem.tags))
        at += paired
    assert at == len(pool)
    return ids, places if everything else range(at), tags


_Columns = dict[str, list[Any]]
"""Teacher to a value for each problem in order, None where it has none."""
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Candidates(Sequence[Candidate]):
    """The candidates, each made of the columns when somebody looks at it."""

    ids: list[str]
    places: Sequence[int | None]
    """Where each stands in the columns of the pool."""
    tags: list[Mapping[str, str]]
    pass_rate: list[float]
    chosen: _Columns
    rates: _Columns
    samples: _Columns
    """In the order of `ids`; all others are in the order of the pool."""
    lengths: _Columns
    agreement: Mapping[str, float]

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> list[Candidate]: ...

    def __getitem__(self, index: int | slice) -> Candidate | list[Candidate]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        at, key = self.places[number], self.ids[number]
        return Candidate(
            problem_id=key, tags=self.tags[number], pass_rate=0.0 if at is None else self.pass_rate[at],
            traces=_of(self.chosen, at), rates=_of(self.rates, at), lengths=_of(self.lengths, at),
            agreement=self.agreement.get(key, math.nan), samples=_of(self.samples, number), paired=at is not None,
        )  # fmt: skip


class _Of(Mapping[str, Any]):
    """Teacher to value for one problem, seen in the columns that hold all problems: a dictionary for each candidate
    would be most of what an arm's step keeps in memory."""

    __slots__ = ("_at", "_columns")

    def __init__(self, columns: _Columns, at: int) -> None:
        self._columns, self._at = columns, at

    def __getitem__(self, teacher: str) -> Any:
        value = self._columns[teacher][self._at]
        if value is None:
            raise KeyError(teacher)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name, values in self._columns.items() if values[self._at] is not None)

    def __len__(self) -> int:
        return sum(values[self._at] is not None for values in self._columns.values())


def _of(columns: _Columns, at: int | None) -> Mapping[str, Any]:
    return _NOTHING if at is None or not columns else _Of(columns, at)


def _tags(tags: Iterable[str]) -> Mapping[str, str]:
    return {name: value for name, _, value in (tag.partition("=") for tag in tags)} or _NOTHING


def _chosen_lengths(chosen: _Columns, inputs: Mapping[str, Artifact]) -> _Columns:
    lengths: _Columns = {}
    for name, ids in chosen.items():
        wanted = {trace_id: at for at, trace_id in enumerate(ids) if trace_id is not None}
        lengths[name] = [None] * len(ids)
        for trace in inputs[f"traces:{name}"].read("traces", Trace, without=TEXTS):
            if trace.trace_id in wanted:
                lengths[name][wanted[trace.trace_id]] = trace.n_tokens
    return lengths


def _agreement(study: Study, inputs: Mapping[str, Artifact]) -> dict[str, float]:
    """Problem to the share of all teachers' graded answers that equal the most frequent one."""
    answers: dict[str, Counter[str]] = {}
    for name in study.teachers:
        for verdict in inputs[f"verdicts:{name}"].read("verdicts", Verdict):
            if verdict.outcome not in UNGRADED:
                answers.setdefault(verdict.problem_id, Counter())[verdict.extracted or ""] += 1
    return {key: max(counts.values()) / counts.total() for key, counts in answers.items()}


def _samples(teacher: str, inputs: Mapping[str, Artifact]) -> dict[str, list[Sample]]:
    """A teacher's usable traces by problem: those that failed, said nothing or were filtered are not there."""
    verdicts = inputs[f"verdicts:{teacher}"].read("verdicts", Verdict)
    right = {v.trace_id for v in verdicts if v.outcome == Outcome.CORRECT}
    filtered = _filtered(inputs, teacher)
    found: dict[str, list[Sample]] = {}
    for trace in inputs[f"traces:{teacher}"].read("traces", Trace, without=TEXTS):
        if trace.error is None and trace.n_tokens and trace.trace_id not in filtered:
            sample = Sample(trace.trace_id, trace.sample_index, trace.n_tokens, trace.trace_id in right)
            found.setdefault(trace.problem_id, []).append(sample)
    return found
