"""From verified traces to arms: screens, the pool, examples, and examples matched to a common budget.

Memory holds ids, counts and one batch of texts: tables are read without their long texts wherever these are not what a
step is about.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Generic, TypeVar

from lakon.backends import chat_format
from lakon.core.columns import PackedStrings, pair_rows
from lakon.core.plugins import find_plugin
from lakon.core.records import Example, ExampleLengths, Exclusion, Problem, ProblemTags, Trace, VerdictOutcome
from lakon.core.spec import MatchRule, Spec
from lakon.pipeline.places import Places
from lakon.pipeline.steps.candidates import ArmInputs, read_candidates, read_filtered
from lakon.pipeline.steps.context import Context
from lakon.stages.curate import examples as examples_stage
from lakon.stages.curate import filters as filters_stage
from lakon.stages.curate import matching
from lakon.stages.curate import pool as pool_stage
from lakon.stages.curate.arms import SEEDED, Arm
from lakon.stages.curate.filters import Filters
from lakon.stages.curate.pool import Curate
from lakon.stages.curate.strategies import pick_traces
from lakon.stages.curate.styles import STYLES
from lakon.store.artifacts import Artifact
from lakon.store.facts import MatchedFacts, PoolFacts
from lakon.store.step import Step
from lakon.study.names import POOL, MatchedArm

T = TypeVar("T")

SCREEN_VERSION = 1
POOL_VERSION = 5
ARM_VERSION = 5
MATCH_VERSION = 5


# -- screens ---------------------------------------------------------------------------------------------------


class ScreenArgs(Spec):
    """What a teacher's traces must be like."""

    filters: Filters
    tokenizers: tuple[str, ...] = ()
    """The students' own, where over-long traces are to be found."""


@dataclass(frozen=True)
class ScreenInputs(Generic[T]):
    """A teacher's traces and their verdicts."""

    traces: T
    verdicts: T


def screen_args(filters: Filters, *, bases: Iterable[str], tokenizer: str, places: Places) -> ScreenArgs:
    """The arguments of every screen of a study; `tokenizer` is the common one, which need not be asked twice."""
    others = [base for base in bases if base != tokenizer] if filters.max_tokens is not None else []
    return ScreenArgs(filters=filters, tokenizers=tuple(places.tokenizer(base) for base in others))


def screen_step(teacher: str, args: ScreenArgs, traces: Step[Any], verdicts: Step[Any]) -> Step[ScreenArgs]:
    """A teacher's filtered traces and profiles."""
    return Step(
        stage="screen",
        label=teacher,
        version=SCREEN_VERSION,
        args=args,
        inputs=ScreenInputs(traces, verdicts),
        body=screen_traces,
        in_process=True,
    )


def screen_traces(ctx: Context[ScreenInputs[Artifact]], args: ScreenArgs) -> None:
    """Profiles of a teacher's traces, and those that the filters leave out."""
    table, verdicts = ctx.inputs.traces, ctx.inputs.verdicts
    ctx.progress.start(table.manifest.rows["traces"], unit="traces")
    traces = table.read("traces", Trace)
    screened = filters_stage.screen_traces(
        pair_rows(traces, verdicts.read("verdicts", VerdictOutcome)),
        (v.problem_id for v in verdicts.read("verdicts", VerdictOutcome)),
        args.filters,
        counters=[ctx.resources.counter(name) for name in args.tokenizers],
        progress=ctx.progress,
    )
    ctx.out.write("profiles", screened.profiles)
    ctx.out.write("exclusions", screened.exclusions)


# -- the pool --------------------------------------------------------------------------------------------------


class PoolArgs(Spec):
    """Which problems can be compared."""

    teachers: tuple[str, ...]
    """All of the study, in its order, which is that of the rows of a problem."""
    needed: int
    """How many of them must have a correct trace."""
    count: int | None = None
    """Of the problems, a sample."""
    seed: int | None = None
    """Draws it."""
    asked_after: dict[str, str] = {}
    """A teacher that was asked only what another one got right, to that other one."""
    held_out: int = 0
    """Of the problems, those that no arm trains on."""


@dataclass(frozen=True)
class PoolInputs(Generic[T]):
    """The problems, every teacher's verdicts, and its screen where a filter is on."""

    problems: T
    verdicts: Mapping[str, T]
    screens: Mapping[str, T] = field(default_factory=dict[str, T])


def pool_args(spec: Curate, *, teachers: Iterable[str], asked_after: Mapping[str, str], seed: int) -> PoolArgs:
    """The arguments of the pool."""
    names = tuple(teachers)
    return PoolArgs(
        teachers=names,
        needed=spec.count_needed(len(names)),
        count=spec.count,
        seed=seed if spec.count is not None or spec.held_out else None,
        asked_after=dict(asked_after),
        held_out=spec.held_out,
    )


def pool_step(
    args: PoolArgs, problems: Step[Any], verdicts: Mapping[str, Step[Any]], screens: Mapping[str, Step[Any]]
) -> Step[PoolArgs]:
    """The problems that arms are drawn from."""
    return Step(
        stage="curate",
        label=POOL,
        version=POOL_VERSION,
        args=args,
        inputs=PoolInputs(problems, verdicts, screens),
        body=pair_problems,
        in_process=True,
    )


def pair_problems(ctx: Context[PoolInputs[Artifact]], args: PoolArgs) -> None:
    """The problems that can be compared, with each teacher's trace for them."""
    inputs = ctx.inputs
    problems = PackedStrings(p.problem_id for p in inputs.problems.read("problems", ProblemTags))
    tags = inputs.problems.read("problems", ProblemTags) if args.held_out else ()
    verdicts = {name: inputs.verdicts[name].read("verdicts", VerdictOutcome) for name in args.teachers}
    pool = pool_stage.build_pool(
        problems,
        verdicts,
        count=args.count,
        seed=args.seed or 0,
        needed=args.needed,
        if_correct=args.asked_after,
        filtered={name: read_filtered(inputs.screens, name) for name in args.teachers},
        held_out=args.held_out,
        duplicated={p.problem_id for p in tags if p.duplicate_group is not None},
    )
    ctx.out.write("pool", pool.rows())
    if args.held_out:
        ctx.out.write("held_out_pool", pool.held_out_rows())
    ctx.out.write("exclusions", pool.exclusions())
    PoolFacts(problems=len(pool)).write(ctx.out)


# -- arms ------------------------------------------------------------------------------------------------------


class ArmArgs(Spec):
    """Which trace of which teacher an arm takes, and what becomes of it."""

    name: str
    """Stands in every example."""
    arm: Arm
    teachers: tuple[str, ...]
    """All of the study, in its order: some strategies look at all of them."""
    prompt: str = "{problem}"
    """In which students are shown a problem."""
    tokenizer: str
    """In which examples are counted."""
    seed: int | None = None
    """Of strategies that draw."""


def arm_args(name: str, arm: Arm, *, teachers: Iterable[str], prompt: str, tokenizer: str, seed: int) -> ArmArgs:
    """The arguments of an arm; under which rules it is matched is not what it holds."""
    return ArmArgs(
        name=name,
        arm=arm.model_copy(update={"match": None}),
        teachers=tuple(teachers),
        prompt=prompt,
        tokenizer=tokenizer,
        seed=seed if arm.how in SEEDED else None,
    )


def arm_step(
    args: ArmArgs,
    problems: Step[Any],
    pool: Step[PoolArgs],
    traces: Mapping[str, Step[Any]],
    verdicts: Mapping[str, Step[Any]],
    screens: Mapping[str, Step[Any]],
) -> Step[ArmArgs]:
    """The examples of an arm over the whole pool. Of traces, verdicts and screens, which are those of all teachers, it
    reads what its strategy looks at."""
    arm = args.arm
    with_traces = traces if "lengths" in arm.needs else arm.teachers
    graded: Iterable[str] = ()
    if arm.needs & {"samples", "agreement", "answers"}:
        graded = verdicts if "agreement" in arm.needs else arm.teachers
    sampled = arm.teachers if "samples" in arm.needs and screens else ()
    inputs = ArmInputs(
        problems=problems,
        pool=pool,
        traces={name: traces[name] for name in with_traces},
        verdicts={name: verdicts[name] for name in graded},
        screens={name: screens[name] for name in sampled},
    )
    return Step(
        stage="curate",
        label=args.name,
        version=ARM_VERSION,
        args=args,
        inputs=inputs,
        body=build_arm,
        in_process=True,
    )


def build_arm(ctx: Context[ArmInputs[Artifact]], args: ArmArgs) -> None:
    """The examples of an arm, in the order of its picks."""
    arm, inputs = args.arm, ctx.inputs
    picks = pick_traces(read_candidates(arm, args.teachers, inputs), arm, args.seed or 0)
    without_target: list[Exclusion] = []
    rows = examples_stage.build_examples(
        args.name,
        picks,
        inputs.problems.read("problems", Problem),
        {teacher: _traces_with_answers(inputs, teacher, arm) for teacher in arm.teachers},
        style=find_plugin(arm.style, STYLES, "style"),
        style_name=arm.style,
        template=args.prompt,
        complete=chat_format.render_completion,
        count=ctx.resources.counter(args.tokenizer).count,
        scratch=ctx.out.folder / "scratch",
        without_target=without_target,
    )
    ctx.out.write("examples", rows)
    ctx.out.write("exclusions", chain(examples_stage.exclude_missing(args.name, picks), without_target))


def _traces_with_answers(inputs: ArmInputs[Artifact], teacher: str, arm: Arm) -> Iterator[tuple[Trace, str | None]]:
    """A teacher's traces, with what was extracted from each where the style may look at it."""
    traces = inputs.traces[teacher].read("traces", Trace)
    if "answers" not in arm.needs:
        return ((trace, None) for trace in traces)
    verdicts = inputs.verdicts[teacher].read("verdicts", VerdictOutcome)
    return examples_stage.pair_answers(traces, verdicts)


# -- matched arms ----------------------------------------------------------------------------------------------


class MatchArgs(Spec):
    """To what budget an arm is repeated or thinned."""

    arm: str
    rule: MatchRule
    token_budget: str | int
    """`largest`, `smallest`, the name of an arm, or a number of tokens."""
    seed: int
    """Draws the examples that occur once more than others."""
    batch_tokens: int | None = None
    """Of one optimizer step, where arms are matched by steps."""
    max_length: int | None = None


@dataclass(frozen=True)
class MatchInputs(Generic[T]):
    """The examples of every arm that the rule makes comparable, by the arm's name."""

    examples: Mapping[str, T]


def match_step(args: MatchArgs, arms: Mapping[str, Step[ArmArgs]]) -> Step[MatchArgs]:
    """An arm's examples under a matching rule."""
    return Step(
        stage="curate",
        label=str(MatchedArm(args.arm, args.rule)),
        version=MATCH_VERSION,
        args=args,
        inputs=MatchInputs(arms),
        body=match_arm,
        in_process=True,
    )


def match_arm(ctx: Context[MatchInputs[Artifact]], args: MatchArgs) -> None:
    """An arm's examples, repeated or thinned to the budget of tokens or steps that all arms share."""
    unit = args.rule.removesuffix("s")
    totals = {name: _total(args, _lengths_of(table)) for name, table in sorted(ctx.inputs.examples.items())}
    stated = args.token_budget
    if args.rule == "steps" and isinstance(stated, int):
        stated = max(1, stated // _batch_tokens(args))
    budget = examples_stage.choose_budget(stated, totals)
    mine = ctx.inputs.examples[args.arm]
    repeats = _repeats(args, _lengths_of(mine), budget)
    unmatched = examples_stage.exclude_unmatched(_lengths_of(mine), repeats, args.arm, unit)
    ctx.out.write("examples", examples_stage.repeat_examples(mine.read("examples", Example), repeats))
    ctx.out.write("exclusions", chain(mine.read("exclusions", Exclusion), unmatched))
    MatchedFacts(budget=budget).write(ctx.out)


def _lengths_of(examples: Artifact) -> Iterator[ExampleLengths]:
    return examples.read("examples", ExampleLengths)


def _batch_tokens(args: MatchArgs) -> int:
    assert args.batch_tokens is not None, "steps are batches of tokens"
    return args.batch_tokens


def _trained_lengths(args: MatchArgs, rows: Iterable[ExampleLengths]) -> tuple[list[int], list[int]]:
    """Length and phase of every example as the trainer will see it; one that it will leave out has no length."""
    assert args.max_length is not None, "steps are made of examples that fit"
    lengths, phases = list[int](), list[int]()
    for example in rows:
        n_tokens = example.n_prompt + example.n_tokens + 1
        lengths.append(n_tokens if n_tokens <= args.max_length else 0)
        phases.append(example.phase)
    return lengths, phases


def _total(args: MatchArgs, rows: Iterable[ExampleLengths]) -> int:
    if args.rule == "tokens":
        return sum(example.n_tokens for example in rows)
    return matching.count_steps(*_trained_lengths(args, rows), _batch_tokens(args))


def _repeats(args: MatchArgs, rows: Iterable[ExampleLengths], budget: int) -> list[int]:
    if args.rule == "tokens":
        return matching.match_tokens(array("q", (example.n_tokens for example in rows)), budget, args.seed)
    lengths, phases = _trained_lengths(args, rows)
    return matching.match_steps(lengths, phases, budget, batch_tokens=_batch_tokens(args), seed=args.seed)
