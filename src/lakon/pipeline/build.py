"""A study becomes steps: which there are, and which reads which. What each computes stands in `steps/`.

Nothing is opened but the files whose digests stand in keys, and nothing of `[run]` is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lakon.core.spec import MatchRule
from lakon.domains import registry
from lakon.pipeline.places import Places
from lakon.pipeline.plan import EvaluatedModel, Plan
from lakon.pipeline.steps.corpus import (
    MatchArgs,
    PoolArgs,
    arm_args,
    arm_step,
    match_step,
    pool_args,
    pool_step,
    screen_args,
    screen_step,
)
from lakon.pipeline.steps.familiarity import FamiliarityArgs, FamiliarityInputs, familiarity_step
from lakon.pipeline.steps.forced import ForceArgs, force_step
from lakon.pipeline.steps.held_out import HeldOutArgs, HeldOutInputs, held_out_step
from lakon.pipeline.steps.problems import decontaminate_step, read_step
from lakon.pipeline.steps.report import report_step
from lakon.pipeline.steps.report_args import ReportArgs, ReportInputs, teachers_in_report
from lakon.pipeline.steps.scores import (
    EvaluatedModelId,
    Graded,
    ScoreArgs,
    ScoreInputs,
    TeacherInScores,
    score_args,
    score_step,
)
from lakon.pipeline.steps.traces import (
    PilotArgs,
    SampleArgs,
    grading_args,
    pilot_step,
    sample_step,
    teacher_args,
    teacher_step,
)
from lakon.pipeline.steps.training import TrainArgs, train_args, train_step
from lakon.pipeline.steps.verdicts import VerifyArgs, verify_args, verify_step
from lakon.pipeline.steps.worked_examples import WorkedInputs
from lakon.stages.curate.arms import EFFORT
from lakon.stages.train.train import Student
from lakon.store.step import AnyStep, Step
from lakon.study.names import (
    FIRST_RULE,
    OWN,
    MatchedArm,
    model_name,
    prompted_label,
    teacher_label,
    traces_label,
    training_label,
)
from lakon.study.schema import Study, asking_order, resolve_defaults


def build_plan(study: Study) -> Plan:
    """The steps of a study."""
    return _Builder(study).plan()


class _Builder:
    """Makes the steps of one study; all of them share its seed, its tokenizer and its places."""

    def __init__(self, study: Study) -> None:
        self.study, self.places = study, Places()
        self.tokenizer = self.places.tokenizer(study.counting)
        self.several_seeds = len(study.training.seeds) > 1
        self.worked: WorkedInputs[AnyStep] | None = None
        """Where worked examples come from: the first teacher."""

    def plan(self) -> Plan:
        study = self.study
        rows = read_step(OWN, study.problems, study.seed, self.places)
        benchmarks = {
            name: read_step(name, study.benchmark(name), study.seed, self.places) for name in study.evaluate.benchmarks
        }
        problems = decontaminate_step(study.decontaminate, rows, benchmarks) if study.is_decontaminated else rows
        teachers = self.teachers(problems)
        if teachers:
            first = next(iter(teachers.values()))
            self.worked = WorkedInputs(problems, first.traces, first.verdicts)
        screens = self.screens(teachers)
        pool = self.pool(problems, teachers, screens) if study.arms else None
        arms = self.arms(problems, pool, teachers, screens) if pool is not None else {}
        held_out = self.held_out(problems, pool, teachers) if pool is not None else None
        familiarity = self.familiarity(problems, teachers, screens)
        models = [*self.models(arms, held_out, benchmarks), *self.authors(benchmarks)]
        answers = {model.id.label_on(name): graded for model in models for name, graded in model.answers.items()}
        scored = ScoreInputs(problems, benchmarks, teachers, answers)
        scores = score_step(self.score_args(models), scored)
        report = report_step(
            self.report_args(models, arms),
            ReportInputs(
                scores=scores,
                rows=rows,
                problems=problems,
                benchmarks=benchmarks,
                teachers=teachers,
                models=answers,
                screens=screens,
                pool=pool,
                arms=arms,
                trainings={model.id.run: model.checkpoint for model in models if model.checkpoint is not None},
                familiarity=familiarity,
            ),
        )
        return Plan(
            study=study,
            places=self.places,
            problems=problems,
            benchmarks=benchmarks,
            teachers=teachers,
            screens=screens,
            pool=pool,
            arms=arms,
            held_out=held_out,
            familiarity=familiarity,
            models=models,
            scores=scores,
            report=report,
        )

    # -- from problems to arms -------------------------------------------------------------------------------

    def teachers(self, problems: AnyStep) -> dict[str, Graded[AnyStep]]:
        """Every teacher's traces and verdicts, in the order of the study."""
        study, steps = self.study, dict[str, Graded[AnyStep]]()
        verify = self.verify_args(study.problems.domain)
        for name in asking_order(study.teachers):
            teacher = study.teachers[name]
            before = steps[teacher.if_correct].verdicts if teacher.if_correct is not None else None
            args = teacher_args(
                name,
                teacher,
                source=study.problems,
                seed=study.seed,
                tokenizer=self.tokenizer,
                rules=study.verify,
                places=self.places,
            )
            traces = teacher_step(args, problems, before)
            steps[name] = Graded(traces, verify_step(name, verify, problems, traces))
        return {name: steps[name] for name in study.teachers}

    def verify_args(self, domain: str) -> VerifyArgs:
        return verify_args(self.study.verify, domain=domain, seed=self.study.seed, places=self.places)

    def screens(self, teachers: Mapping[str, Graded[AnyStep]]) -> dict[str, AnyStep]:
        study = self.study
        bases = [student.base for student in study.students]
        args = screen_args(study.curate.filters, bases=bases, tokenizer=study.counting, places=self.places)
        return {name: screen_step(name, args, graded.traces, graded.verdicts) for name, graded in teachers.items()}

    def pool(
        self, problems: AnyStep, teachers: Mapping[str, Graded[AnyStep]], screens: Mapping[str, AnyStep]
    ) -> Step[PoolArgs]:
        study = self.study
        asked_after = {name: t.if_correct for name, t in study.teachers.items() if t.if_correct is not None}
        args = pool_args(study.curate, teachers=study.teachers, asked_after=asked_after, seed=study.seed)
        verdicts = {name: graded.verdicts for name, graded in teachers.items()}
        return pool_step(args, problems, verdicts, self.where_filtered(screens))

    def where_filtered(self, screens: Mapping[str, AnyStep]) -> Mapping[str, AnyStep]:
        """Screens as inputs, where a filter makes them matter."""
        return screens if self.study.curate.filters.active else {}

    def arms(
        self,
        problems: AnyStep,
        pool: Step[PoolArgs],
        teachers: Mapping[str, Graded[AnyStep]],
        screens: Mapping[str, AnyStep],
    ) -> dict[MatchedArm, AnyStep]:
        """The examples of every arm under each matching rule."""
        study = self.study
        traces = {name: graded.traces for name, graded in teachers.items()}
        verdicts = {name: graded.verdicts for name, graded in teachers.items()}
        whole: dict[str, AnyStep] = {}
        for name, arm in study.arms.items():
            args = arm_args(
                name,
                arm,
                teachers=study.teachers,
                prompt=study.prompt,
                tokenizer=self.tokenizer,
                seed=study.seed,
            )
            whole[name] = arm_step(args, problems, pool, traces, verdicts, self.where_filtered(screens))
        steps: dict[MatchedArm, AnyStep] = {}
        for rule in study.curate.match:
            matched = {name: step for name, step in whole.items() if rule in (study.arms[name].match or (rule,))}
            for name, step in matched.items():
                key = MatchedArm(name, rule)
                steps[key] = step if rule == FIRST_RULE else match_step(self.match_args(key), matched)
        return steps

    def held_out(
        self, problems: AnyStep, pool: Step[PoolArgs], teachers: Mapping[str, Graded[AnyStep]]
    ) -> AnyStep | None:
        """All teachers' examples of the problems that no arm trains on."""
        study = self.study
        if not (study.curate.held_out and study.students):
            return None
        args = HeldOutArgs(teachers=tuple(teachers), prompt=study.prompt, tokenizer=self.tokenizer)
        traces = {name: graded.traces for name, graded in teachers.items()}
        return held_out_step(args, HeldOutInputs(problems, pool, traces))

    def match_args(self, matched: MatchedArm) -> MatchArgs:
        study, by_steps = self.study, matched.rule == "steps"
        return MatchArgs(
            arm=matched.arm,
            rule=matched.rule,
            token_budget=study.curate.token_budget,
            seed=study.seed,
            batch_tokens=study.training.batch_tokens if by_steps else None,
            max_length=study.training.max_length if by_steps else None,
        )

    # -- students and bases ----------------------------------------------------------------------------------

    def models(
        self, arms: Mapping[MatchedArm, AnyStep], held_out: AnyStep | None, benchmarks: Mapping[str, AnyStep]
    ) -> Iterator[EvaluatedModel]:
        """Every base and every student, one for each arm, matching rule, seed and effort, with its work."""
        for student in self.study.students:
            base = self.places.model(student.base)
            if self.study.evaluate.base:
                yield from self.base(student, base, benchmarks)
            for matched, examples in arms.items():
                efforts = self.study.arms[matched.arm].efforts or ("",)
                elsewhere = student.trained.get(matched.arm)
                if elsewhere is not None and matched.rule != self.first_rule_of(matched.arm):
                    continue  # one model, whatever the rules: it was trained on the examples of the first
                seeds = self.study.training.seeds if elsewhere is None else self.study.training.seeds[:1]
                for seed in seeds:
                    if elsewhere is None:
                        model: Step[TrainArgs] | str = self.training(student, base, matched, seed, examples, held_out)
                    else:
                        model = self.places.model(elsewhere)
                    for effort in efforts:
                        yield from self.trained(student, matched, seed, effort, examples, model, benchmarks)

    def authors(self, benchmarks: Mapping[str, AnyStep]) -> Iterator[EvaluatedModel]:
        """Everybody else who answers the benchmarks."""
        study = self.study
        for name, author in study.authors.items():
            answers: dict[str, Graded[AnyStep]] = {}
            for benchmark, problems in benchmarks.items():
                args = teacher_args(
                    name,
                    author,
                    source=study.benchmark(benchmark),
                    seed=study.seed,
                    tokenizer=self.tokenizer,
                    rules=study.verify,
                    places=self.places,
                )
                label = traces_label(name, FIRST_RULE, None, benchmark)
                answers[benchmark] = self.graded(benchmark, problems, teacher_step(args, problems, None, label=label))
            model = EvaluatedModelId(label=teacher_label(name, study.arms), kind="author")
            yield EvaluatedModel(id=model, author=name, answers=answers)

    def first_rule_of(self, arm: str) -> MatchRule:
        """The first rule under which an arm is built."""
        rules = self.study.arms[arm].match or self.study.curate.match
        return next(rule for rule in self.study.curate.match if rule in rules)

    def familiarity(
        self, problems: AnyStep, teachers: Mapping[str, Graded[AnyStep]], screens: Mapping[str, AnyStep]
    ) -> dict[str, AnyStep]:
        """The losses of every base on the teachers' traces."""
        study, steps = self.study, dict[str, AnyStep]()
        inputs = FamiliarityInputs(
            problems,
            {name: graded.traces for name, graded in teachers.items()},
            {name: graded.verdicts for name, graded in teachers.items()},
            self.where_filtered(screens),
        )
        for student in study.students if study.evaluate.familiarity else ():
            args = FamiliarityArgs(
                base=self.places.model(student.base),
                prompt=study.prompt,
                teachers=tuple(study.teachers),
                problems=study.evaluate.familiarity,
                seed=study.seed,
            )
            steps[student.label] = familiarity_step(student.label, args, inputs)
        return steps

    def shown_student(self, student: Student) -> str | None:
        """Its name in labels: none where a study has but one."""
        return student.label if len(self.study.students) > 1 else None

    def shown_seed(self, seed: int) -> int | None:
        return seed if self.several_seeds else None

    def base(self, student: Student, base: str, benchmarks: Mapping[str, AnyStep]) -> Iterator[EvaluatedModel]:
        """A base, and the same in other ways of asking."""
        name = model_name(self.shown_student(student), "base")
        args, answers = self.sample_args(name, base=base), dict[str, Graded[AnyStep]]()
        for benchmark, problems in benchmarks.items():
            label = traces_label(name, FIRST_RULE, None, benchmark)
            answers[benchmark] = self.graded(benchmark, problems, sample_step(label, args, problems, None))
        id_ = EvaluatedModelId(label=name, kind="base", student=student.label, seed=0)
        model = EvaluatedModel(id=id_, answers=answers)
        yield model
        yield from self.prompted(model, args, benchmarks)

    def prompted(
        self, model: EvaluatedModel, args: SampleArgs, benchmarks: Mapping[str, AnyStep]
    ) -> Iterator[EvaluatedModel]:
        """A base or student, asked once more in each of the ways that the study names. `args` are its own."""
        study = self.study
        for name in study.evaluate.prompting:
            way = study.evaluate.way(name)
            author = f"{args.author}+{name}"
            answers: dict[str, Graded[AnyStep]] = {}
            for benchmark, problems in benchmarks.items():
                plain = model.answers[benchmark].traces
                label = prompted_label(plain.label, name, benchmark)
                if way.thinking_tokens is not None:
                    stated = args.model_dump(include={"base", "prompt", "system", "seed", "tokenizer"})
                    forced = ForceArgs(author=author, way=way, sampling=args.sampling, **stated)
                    traces: AnyStep = force_step(label, forced, problems, plain, model.checkpoint)
                else:
                    asked = args.model_copy(
                        update={
                            "author": author,
                            "prompt": way.prompt or args.prompt,
                            "system": "\n".join(filter(None, (args.system, way.system))),
                            "examples": way.examples,
                        }
                    )
                    traces = sample_step(
                        label, asked, problems, model.checkpoint, self.worked if way.examples else None
                    )
                answers[benchmark] = self.graded(benchmark, problems, traces)
            label = f"{model.id.label}+{name}"
            prompted = model.id.model_copy(update={"label": label, "kind": "prompted", "prompting": name})
            yield EvaluatedModel(id=prompted, answers=answers)

    def training(
        self,
        student: Student,
        base: str,
        matched: MatchedArm,
        seed: int,
        examples: AnyStep,
        held_out: AnyStep | None,
    ) -> Step[TrainArgs]:
        name = model_name(self.shown_student(student), matched.arm)
        label = training_label(name, matched.rule, self.shown_seed(seed))
        return train_step(label, train_args(self.study.training, base=base, seed=seed), examples, held_out)

    def trained(
        self,
        student: Student,
        matched: MatchedArm,
        seed: int,
        effort: str,
        examples: AnyStep,
        trained: Step[TrainArgs] | str,
        benchmarks: Mapping[str, AnyStep],
    ) -> Iterator[EvaluatedModel]:
        """A student, and the same in other ways of asking. `trained` is the step that trains it, or a reference to one
        that was trained elsewhere."""
        checkpoint, folder = (None, trained) if isinstance(trained, str) else (trained, None)
        # Traces are told apart by their checkpoint, so their author has no matching rule: one checkpoint, one key.
        name = model_name(self.shown_student(student), matched.arm, effort)
        args = self.sample_args(name, base=folder, system=EFFORT.format(level=effort) if effort else "")
        answers: dict[str, Graded[AnyStep]] = {}
        for benchmark, problems in benchmarks.items():
            label = traces_label(name, matched.rule, self.shown_seed(seed), benchmark)
            answers[benchmark] = self.graded(benchmark, problems, sample_step(label, args, problems, checkpoint))
        id_ = EvaluatedModelId(
            label=str(MatchedArm(name, matched.rule)),
            kind="student",
            arm=matched.arm,
            match=matched.rule,
            student=student.label,
            seed=seed,
            effort=effort,
        )
        model = EvaluatedModel(id=id_, examples=examples, checkpoint=checkpoint, answers=answers)
        yield model
        yield from self.prompted(model, args, benchmarks)

    def sample_args(self, author: str, *, base: str | None = None, system: str = "") -> SampleArgs:
        study = self.study
        return SampleArgs(
            author=author,
            base=base,
            prompt=study.prompt,
            system=system,
            sampling=study.evaluate.sampling,
            samples=study.evaluate.samples,
            seed=study.seed,
            tokenizer=self.tokenizer,
        )

    def graded(self, benchmark: str, problems: AnyStep, traces: AnyStep) -> Graded[AnyStep]:
        args = self.verify_args(self.study.benchmark(benchmark).domain)
        return Graded(traces, verify_step(traces.label, args, problems, traces))

    # -- scores and report -----------------------------------------------------------------------------------

    def score_args(self, models: list[EvaluatedModel]) -> ScoreArgs:
        study = self.study
        teachers = [TeacherInScores.of(name, teacher, study.arms) for name, teacher in study.teachers.items()]
        ids = [model.id for model in models]
        return score_args(study.evaluate, seed=study.seed, teachers=teachers, models=ids)

    def report_args(self, models: list[EvaluatedModel], arms: Mapping[MatchedArm, AnyStep]) -> ReportArgs:
        study = self.study
        evaluate = study.evaluate
        tokenizer = study.counting
        return ReportArgs(
            name=study.name,
            title=study.title,
            description=study.description,
            caveats=study.caveats,
            resolved=resolve_defaults(study),
            is_decontaminated=study.decontaminate.enabled or not evaluate.benchmarks,
            teachers=tuple(teachers_in_report(study.teachers, study.arms)),
            models=tuple(model.id for model in models),
            benchmarks=evaluate.benchmarks,
            arms=tuple((matched.arm, matched.rule) for matched in arms),
            verify=study.verify.model_copy(update={"overrides": None}),
            verifier=registry.domain(study.problems.domain).version,
            margin=evaluate.margin,
            margin_stated=evaluate.margin_stated,
            confidence=evaluate.confidence,
            tokenizer=tokenizer.rpartition("/")[2] if tokenizer.startswith("/") else tokenizer,
            seed=study.seed,
            epochs=study.training.epochs,
            training_seeds=study.training.seeds,
            n_students=len(study.students),
            sampling=evaluate.sampling,
            samples=evaluate.samples,
        )


def pilot_steps(plan: Plan, n_problems: int) -> dict[str, Step[PilotArgs]]:
    """A step for each endpoint that really asks a few of the problems, the same ones for all, and grades what comes."""
    study, steps = plan.study, dict[str, Step[PilotArgs]]()
    for name in asking_order(study.teachers):
        teacher = study.teachers[name]
        if not teacher.is_served:
            continue
        args = PilotArgs(
            teacher=plan.teacher_args(name),
            problems=n_problems,
            seed=study.seed,
            grading=grading_args(study.problems.domain, study.verify),
        )
        before: AnyStep | None = None
        if teacher.if_correct is not None:
            before = steps.get(teacher.if_correct) or plan.teachers[teacher.if_correct].verdicts
        steps[name] = pilot_step(args, plan.problems, before)
    return steps
