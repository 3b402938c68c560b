"""The bodies of the steps from verified traces to arms: screen, pool, examples, matching. Only `plan/` uses it.

Memory holds ids, counts and one batch of texts: tables are read without their long texts wherever these are not
what a step is about.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

from lakon.backends import chat_format as chat
from lakon.backends.tokenizers import counter
from lakon.core.columns import Texts
from lakon.core.plugins import lookup
from lakon.core.protocols import TokenCounter
from lakon.core.records import Example, Exclusion, Problem, Trace, Verdict
from lakon.pipeline.steps.candidates import UNREAD, UNSAID, candidates, filtered
from lakon.stages.curate import examples as examples_stage
from lakon.stages.curate import filters as screen_stage
from lakon.stages.curate import matching
from lakon.stages.curate import pool as curate_stage
from lakon.stages.curate.arms import picks
from lakon.stages.curate.styles import STYLES
from lakon.store.artifacts import Artifact
from lakon.store.step import StepContext
from lakon.study.schema import Study

Body = Callable[[StepContext], None]


def screen(study: Study, model_path: Callable[[str], str]) -> Body:
    """Profiles of a teacher's traces, and those that the study's filters leave out."""
    filters = study.curate.filters

    def body(ctx: StepContext) -> None:
        ctx.progress.start(ctx.inputs["traces"].manifest.rows["traces"], unit="traces")
        traces, verdicts = ctx.inputs["traces"].read("traces", Trace), ctx.inputs["verdicts"]
        found = screen_stage.screen(
            zip(traces, verdicts.read("verdicts", Verdict, without=UNSAID), strict=True),
            (v.problem_id for v in verdicts.read("verdicts", Verdict, without=UNSAID)),
            filters,
            counters=_students_counters(study, model_path),
            progress=ctx.progress,
        )
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
        problems = Texts(p.problem_id for p in ctx.inputs["problems"].read("problems", Problem, without=UNREAD))
        verdicts = {
            name: ctx.inputs[f"verdicts:{name}"].read("verdicts", Verdict, without=UNSAID) for name in study.teachers
        }
        made = curate_stage.pool(
            problems,
            verdicts,
            count=spec.count,
            seed=study.seed,
            needed=spec.needed(len(study.teachers)),
            if_correct={name: teacher.if_correct for name, teacher in study.teachers.items() if teacher.if_correct},
            filtered={name: filtered(ctx.inputs, name) for name in study.teachers},
        )
        ctx.out.write("pool", made.rows())
        ctx.out.write("exclusions", made.exclusions())
        ctx.out.facts["problems"] = len(made)

    return body


def arm(study: Study, name: str, count: Callable[[], TokenCounter]) -> Body:
    """The examples of an arm over the whole pool."""
    spec = study.arms[name]

    def body(ctx: StepContext) -> None:
        chosen = picks(candidates(study, name, ctx.inputs), spec, study.seed)
        left: list[Exclusion] = []
        ctx.out.write(
            "examples",
            examples_stage.examples(
                name,
                chosen,
                ctx.inputs["problems"].read("problems", Problem),
                {t: _told(ctx.inputs, t, answers="answers" in spec.needs) for t in spec.teachers},
                style=lookup(spec.style, STYLES, "style"),
                style_name=spec.style,
                template=study.prompt,
                complete=chat.render_completion,
                count=count().count,
                scratch=ctx.out.folder / "scratch",
                left=left,
            ),
        )
        ctx.out.write("exclusions", chain(examples_stage.missing(name, chosen), left))

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
        left = examples_stage.unmatched(_light(mine), repeats, name, unit)
        ctx.out.write("examples", examples_stage.rematch(mine.read("examples", Example), repeats))
        ctx.out.write("exclusions", chain(mine.read("exclusions", Exclusion), left))
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
        return matching.match_tokens(array("q", (e.n_tokens for e in rows)), budget, study.seed)
    lengths, phases = _lengths(study, rows)
    return matching.match_steps(lengths, phases, budget, batch_tokens=study.training.batch_tokens, seed=study.seed)
