"""Study to steps: the only place that knows stages, domains and adapters at once (with the bodies in `wiring.py`).

Invariant: a step's payload holds what its result depends on and nothing else, so that changing a field of the study
changes exactly the keys that it should. `Run` appears in no payload.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from laconic import corpus, intake, results, training
from laconic.arms import EFFORT, SEEDED, Arm
from laconic.authors import model_identity, model_path
from laconic.core.digest import digest, file_digest
from laconic.core.spending import Spent
from laconic.domains.judge import VERSION as JUDGE_VERSION
from laconic.domains.math import VERSION as VERIFIER
from laconic.kept import lacking
from laconic.results import AuthorId
from laconic.sources import files_digest
from laconic.stages import curate, decontaminate, evaluate, generate, problems, report, screen, train, verify
from laconic.stages.generate import CheckpointTeacher, EndpointTeacher, ProceduralTeacher, RecordedTeacher
from laconic.stages.problems import ProblemSource, SyntheticProblems
from laconic.store.artifacts import Store
from laconic.store.runner import Mode, StepState
from laconic.store.step import Step
from laconic.study import JUDGE, Study, asking_order, resolved
from laconic.wiring import Wiring


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """A student or base as the plan sees it: one trained checkpoint (or none) and its work on each benchmark."""

    label: str
    """Under which its scores stand: arm, with `@tokens` and the student's name where needed."""
    kind: str
    arm: str | None
    match: str | None
    student: str
    seed: int
    examples: Step | None
    checkpoint: Step | None
    effort: str = ""
    """The level under which it is evaluated, when its arm has several."""
    traces: dict[str, Step] = field(default_factory=dict[str, Step])
    verdicts: dict[str, Step] = field(default_factory=dict[str, Step])


@dataclass(slots=True)
class Plan:
    """All steps of a study; `report` is the one that needs all others."""

    study: Study
    problems: Step
    """What teachers are asked about: without copies of benchmark problems, where there are benchmarks."""
    benchmarks: dict[str, Step]
    teachers: dict[str, tuple[Step, Step]]
    """Teacher to its traces and verdicts."""
    screens: dict[str, Step]
    """Teacher to its filtered traces and profiles."""
    pool: Step | None
    arms: dict[tuple[str, str], Step]
    """(arm, matching rule) to its examples."""
    authors: list[Author]
    evaluate: Step
    report: Step

    def asking(
        self, states: Sequence[StepState], store: Store, mode: Mode = "cached", forced: frozenset[str] = frozenset()
    ) -> list[str]:
        """The endpoints that a run may ask: those of steps that are missing and, in the other modes, of steps that ask
        again and all that stands on them. What a cached run asks again may be left as it is: see `left`."""
        steps = {state.step for state in states if state.artifact is None}
        for state in states:
            if mode != "cached" and state.artifact is not None and self._again(state, states, store, mode, forced):
                steps |= _with_users(state.step, states)
        return self._endpoints(steps)

    def _again(
        self, state: StepState, states: Sequence[StepState], store: Store, mode: Mode, forced: frozenset[str]
    ) -> bool:
        """Whether a finished step would ask an endpoint again: about rows that failed, or for replies that are gone."""
        assert state.artifact is not None
        facts = state.artifact.manifest.facts
        if mode == "retry":
            return bool(facts.get("owed") or facts.get("errors"))
        if forced and not forced & {state.step.name, state.step.stage}:
            return False
        return bool(facts.get("owed") or self._gone(self._endpoints({state.step}), states, store))

    def _endpoints(self, steps: Collection[Step]) -> list[str]:
        """Whom these steps ask: teachers by their traces, the judge by verdicts."""
        names = [name for name, (traces, _) in self.teachers.items() if traces in steps]
        names += [JUDGE] if any(step.stage == "verify" for step in steps) else []
        return [name for name in names if name in self.study.served]

    def left(self, states: Sequence[StepState], wiring: Wiring, store: Store) -> dict[str, str]:
        """Owed steps (the judge's: their stage) that are better left as they are, with the reason in a line: an
        endpoint that this would come to cannot be asked, or would be paid again for what is made."""
        left: dict[str, str] = {}
        for step, names in self._owing(states).items():
            if faults := wiring.endpoint_faults(names):
                left[step] = f"{faults[0].where}: {faults[0].found}"
            elif gone := self._gone(names, states, store):
                left[step] = f"{gone}, which would be paid again; --mode retry asks"
        return left

    def _owing(self, states: Sequence[StepState]) -> dict[str, list[str]]:
        """Steps of which only failed rows would be asked again, each with the endpoints that this may come to: its own,
        and those of all that stands on it, since what is new there is asked about as well."""
        owing: dict[str, list[str]] = {}
        for state in states:
            if state.state == "owed":
                step = state.step
                names = self._endpoints(_with_users(step, states))
                owing.setdefault("verify" if step.stage == "verify" else step.name, []).extend(names)
        return {step: list(dict.fromkeys(names)) for step, names in owing.items()}

    def _gone(self, names: Sequence[str], states: Sequence[StepState], store: Store) -> str:
        """Which ledger lacks replies that finished steps hold, and how many; empty when none does."""
        made = {state.step: state.artifact for state in states if state.artifact is not None}
        for name in names:
            steps = [self.teachers[name][0]] if name in self.teachers else [s for s in made if s.stage == "verify"]
            held = [made[step] for step in steps if step in made]
            if n := lacking(self.study, name, held, store):
                return f"the ledger of {name} lacks {n} of the replies that are in use"
        return ""

    def spent_in(self, states: Sequence[StepState]) -> dict[str, Spent]:
        """What the finished steps of endpoints took: teacher to tokens."""
        facts = {state.step: state.artifact.manifest.facts for state in states if state.artifact is not None}
        return {
            name: Spent(int(str(made["prompt_tokens"])), int(str(made["completion_tokens"])))
            for name, (traces, _) in self.teachers.items()
            if isinstance(self.study.teachers[name], EndpointTeacher) and (made := facts.get(traces)) is not None
        }


def _with_users(step: Step, states: Sequence[StepState]) -> set[Step]:
    """A step and all that stands on it."""
    found = {step}
    for other in states:  # inputs come before users
        if found.intersection(other.step.inputs.values()):
            found.add(other.step)
    return found


def build(study: Study, wiring: Wiring) -> Plan:
    """The steps of a study. Opens nothing but the files whose digests stand in keys."""
    return _Builder(study, wiring).build()


class _Builder:
    def __init__(self, study: Study, wiring: Wiring) -> None:
        self.study, self.wiring = study, wiring
        self.counting = _tokenizer_payload(study.counting)

    def build(self) -> Plan:
        study = self.study
        rows = self._problems("problems", study.problems)
        benchmarks = {name: self._problems(name, study.benchmark(name)) for name in study.evaluate.benchmarks}
        source = self._decontaminate(rows, benchmarks) if study.is_decontaminated else rows
        teachers: dict[str, tuple[Step, Step]] = {}
        for name in asking_order(study.teachers):
            teachers[name] = self._teacher(name, source, teachers)
        teachers = {name: teachers[name] for name in study.teachers}
        screens = {name: self._screen(name, *steps) for name, steps in teachers.items()}
        pool = self._pool(source, teachers, screens) if study.arms else None
        arms = self._arms(source, pool, teachers, screens) if pool is not None else {}
        authors = self._authors(arms, benchmarks)
        scored = self._evaluate(source, benchmarks, teachers, authors)
        final = self._report(rows, benchmarks, screens, pool, arms, authors, scored)
        return Plan(study, source, benchmarks, teachers, screens, pool, arms, authors, scored, final)

    def _problems(self, label: str, source: ProblemSource) -> Step:
        local = None if isinstance(source, SyntheticProblems) or not Path(source.path).exists() else source.path
        payload: dict[str, Any] = source.payload(exclude=frozenset({"path"} if local else ()))
        if local:
            payload["file"] = files_digest(local)
        seed = 0 if isinstance(source, SyntheticProblems) or source.count is None else self.study.seed
        return Step(
            stage="problems", label=label, version=problems.VERSION, payload={**payload, "sample_seed": seed},
            inputs={}, run=intake.problems(source, seed),
        )  # fmt: skip

    def _decontaminate(self, rows: Step, benchmarks: dict[str, Step]) -> Step:
        return Step(
            stage="decontaminate", label="problems", version=decontaminate.VERSION,
            payload=self.study.decontaminate.payload(),
            inputs={"problems": rows, **{f"benchmark:{name}": step for name, step in benchmarks.items()}},
            here=True, run=intake.decontaminate(self.study),
        )  # fmt: skip

    def _teacher(self, name: str, source: Step, before: dict[str, tuple[Step, Step]]) -> tuple[Step, Step]:
        teacher = self.study.teachers[name]
        payload: dict[str, Any] = {"author": name, "tokenizer": self.counting}
        if getattr(teacher, "until", None) is not None:
            payload["verifier"] = VERIFIER
        inputs = {"problems": source}
        if teacher.after is not None:
            inputs[f"verdicts:{teacher.after}"] = before[teacher.after][1]
        if isinstance(teacher, RecordedTeacher):
            payload |= teacher.payload(exclude=frozenset({"path"}))
            payload["file"] = files_digest(teacher.path) if teacher.path else self._source_digest()
        elif isinstance(teacher, CheckpointTeacher):
            payload |= teacher.payload(exclude=frozenset({"path"}))
            payload |= {"model": model_identity(teacher.path), "seed": self.study.seed}
        else:
            payload |= teacher.payload()
            payload |= {"seed": self.study.seed} if isinstance(teacher, ProceduralTeacher) else {}
            payload |= teacher.identity() if isinstance(teacher, EndpointTeacher) else {}
        traces = Step(
            stage="generate", label=name, version=generate.VERSION, payload=payload, inputs=inputs,
            here=isinstance(teacher, RecordedTeacher), run=self.wiring.teach(name),
        )  # fmt: skip
        return traces, self._verify(name, source, traces)

    def _source_digest(self) -> str:
        source = self.study.problems
        if isinstance(source, SyntheticProblems) or not Path(source.path).exists():
            return digest(source.payload())
        return files_digest(source.path)

    def _verify(self, label: str, source: Step, traces: Step) -> Step:
        return Step(
            stage="verify", label=label, version=verify.VERSION,
            payload=self._verify_payload(),
            inputs={"problems": source, "traces": traces}, run=self.wiring.verify(label),
        )  # fmt: skip

    def _verify_payload(self) -> dict[str, Any]:
        spec = self.study.verify
        payload: dict[str, Any] = {**spec.payload(exclude=frozenset({"overrides"})), "verifier": VERIFIER}
        if spec.judge is not None:
            payload["judge_version"] = JUDGE_VERSION
        if spec.audit:
            payload["seed"] = self.study.seed
        if spec.overrides is not None:
            payload["overrides"] = files_digest(spec.overrides)
        return payload

    def _screen(self, name: str, traces: Step, verdicts: Step) -> Step:
        filters = self.study.curate.filters
        payload = filters.payload()
        if filters.max_tokens is not None:
            payload["students"] = [_tokenizer_payload(student.base) for student in self.study.students]
        return Step(
            stage="screen", label=name, version=screen.VERSION, payload=payload,
            inputs={"traces": traces, "verdicts": verdicts}, here=True, run=corpus.screen(self.study, model_path),
        )  # fmt: skip

    def _screened(self, teachers: Iterable[str], screens: dict[str, Step]) -> dict[str, Step]:
        """Screens as inputs, where a filter makes them matter."""
        return {f"screen:{t}": screens[t] for t in teachers} if self.study.curate.filters.active else {}

    def _pool(self, source: Step, teachers: dict[str, tuple[Step, Step]], screens: dict[str, Step]) -> Step:
        spec = self.study.curate
        payload: dict[str, Any] = spec.payload(exclude=frozenset({"match", "token_budget", "filters"}))
        if spec.count is not None:
            payload["seed"] = self.study.seed
        payload |= (
            {"after": chain} if (chain := {n: t.after for n, t in self.study.teachers.items() if t.after}) else {}
        )
        verdicts = {f"verdicts:{name}": verdict for name, (_, verdict) in teachers.items()}
        return Step(
            stage="curate", label="pool", version=curate.VERSION, payload=payload,
            inputs={"problems": source, **verdicts, **self._screened(teachers, screens)}, here=True,
            run=corpus.pool(self.study),
        )  # fmt: skip

    def _arms(
        self, source: Step, pool: Step, teachers: dict[str, tuple[Step, Step]], screens: dict[str, Step]
    ) -> dict[tuple[str, str], Step]:
        study = self.study
        whole = {name: self._arm(name, arm, source, pool, teachers, screens) for name, arm in study.arms.items()}
        out: dict[tuple[str, str], Step] = {}
        for rule in study.curate.match:
            taking = {name: step for name, step in whole.items() if rule in (study.arms[name].match or (rule,))}
            for name, step in taking.items():
                out[name, rule] = step if rule == "problems" else self._match(name, rule, taking)
        return out

    def _arm(
        self, name: str, arm: Arm, source: Step, pool: Step, teachers: dict[str, tuple[Step, Step]],
        screens: dict[str, Step],
    ) -> Step:  # fmt: skip
        payload = {"arm": name, **arm.payload(exclude=frozenset({"match"})), "tokenizer": self.counting}
        if self.study.prompt != "{problem}":
            payload["prompt"] = self.study.prompt
        if arm.how in SEEDED:
            payload["seed"] = self.study.seed
        looked_at = teachers if "lengths" in arm.needs else arm.teachers
        inputs = {f"traces:{teacher}": teachers[teacher][0] for teacher in looked_at}
        if arm.needs & {"samples", "agreement", "answers"}:
            asked = teachers if "agreement" in arm.needs else arm.teachers
            inputs |= {f"verdicts:{teacher}": teachers[teacher][1] for teacher in asked}
        if "samples" in arm.needs:
            inputs |= self._screened(arm.teachers, screens)
        return Step(
            stage="curate", label=name, version=curate.VERSION, payload=payload,
            inputs={"problems": source, "pool": pool, **inputs},
            here=True, run=corpus.arm(self.study, name, lambda: self.wiring.counter),
        )  # fmt: skip

    def _match(self, name: str, rule: str, taking: dict[str, Step]) -> Step:
        payload: dict[str, Any] = {
            "arm": name,
            "match": rule,
            "token_budget": self.study.curate.token_budget,
            "seed": self.study.seed,
        }
        if rule == "steps":
            training = self.study.training
            payload |= {"batch_tokens": training.batch_tokens, "max_length": training.max_length}
        return Step(
            stage="curate", label=f"{name}@{rule}", version=curate.VERSION, payload=payload,
            inputs={f"examples:{arm}": step for arm, step in taking.items()}, here=True,
            run=corpus.match(self.study, name, rule),
        )  # fmt: skip

    def _authors(self, arms: dict[tuple[str, str], Step], benchmarks: dict[str, Step]) -> list[Author]:
        authors: list[Author] = []
        for student in self.study.students:
            prefix = f"{student.label}." if len(self.study.students) > 1 else ""
            base = {"model": model_identity(student.base)}
            if self.study.evaluate.base:
                author = Author(
                    label=f"{prefix}base", kind="base", arm=None, match=None, student=student.label, seed=0,
                    examples=None, checkpoint=None,
                )  # fmt: skip
                authors.append(self._work(author, f"{prefix}base", student.base, base, benchmarks))
            for (arm, rule), examples in arms.items():
                for seed in self.study.training.seeds:
                    checkpoint = self._train(f"{prefix}{arm}", rule, seed, student.base, base, examples)
                    for effort in self.study.arms[arm].efforts or ("",):
                        name = f"{prefix}{arm}" + (f".{effort}" if effort else "")
                        author = Author(
                            label=name + _suffix(rule), kind="student", arm=arm, match=rule, student=student.label,
                            seed=seed, examples=examples, checkpoint=checkpoint, effort=effort,
                        )  # fmt: skip
                        authors.append(self._work(author, name, student.base, base, benchmarks))
        return authors

    def _train(self, name: str, rule: str, seed: int, base: str, model: dict[str, Any], examples: Step) -> Step:
        payload = {**self.study.training.payload(exclude=frozenset({"seeds"})), **model, "seed": seed}
        label = name + _suffix(rule) + (f"-{seed}" if len(self.study.training.seeds) > 1 else "")
        return Step(
            stage="train", label=label, version=train.VERSION, payload=payload, inputs={"examples": examples},
            run=training.train(self.study, self.wiring.engine, base, seed),
        )  # fmt: skip

    def _work(self, author: Author, name: str, base: str, model: dict[str, Any], benchmarks: dict[str, Step]) -> Author:
        """The author's traces and verdicts on every benchmark. `name` has no matching rule: one checkpoint, one key."""
        spec, rule = self.study.evaluate, _suffix(author.match or "problems")
        system = EFFORT.format(level=author.effort) if author.effort else ""
        seed = f"-{author.seed}" if author.kind == "student" and len(self.study.training.seeds) > 1 else ""
        payload: dict[str, Any] = {
            "author": name, "sampling": spec.sampling.model_dump(), "samples": spec.samples, "seed": self.study.seed,
            "prompt": self.study.prompt, "tokenizer": self.counting, **({"system": system} if system else {}),
        }  # fmt: skip
        for benchmark, source in benchmarks.items():
            inputs = {"problems": source}
            if author.checkpoint is not None:
                inputs["checkpoint"] = author.checkpoint
            traces = Step(
                stage="generate", label=f"{name}{rule}{seed}.{benchmark}", version=generate.VERSION,
                payload=payload if author.checkpoint else {**payload, **model}, inputs=inputs,
                run=self.wiring.sample(name, None if author.checkpoint else base, system),
            )  # fmt: skip
            author.traces[benchmark] = traces
            author.verdicts[benchmark] = self._verify(f"{name}{rule}{seed}.{benchmark}", source, traces)
        return author

    def _evaluate(
        self, source: Step, benchmarks: dict[str, Step], teachers: dict[str, tuple[Step, Step]], authors: list[Author]
    ) -> Step:
        inputs = {"problems:problems": source} | {f"problems:{name}": step for name, step in benchmarks.items()}
        for name, (traces, verdicts) in teachers.items():
            inputs |= {f"traces:{name}": traces, f"verdicts:{name}": verdicts}
        for author in authors:
            for name in benchmarks:
                key = f"{author.label}#{author.seed}:{name}"
                inputs |= {f"traces:{key}": author.traces[name], f"verdicts:{key}": author.verdicts[name]}
        payload = self.study.evaluate.payload(exclude=frozenset({"samples", "sampling", "base", "benchmarks"}))
        payload |= {
            "seed": self.study.seed,
            "authors": [[a.label, a.kind, a.match, a.student, a.seed] for a in authors],
        }
        payload["teachers"] = list(teachers)
        return Step(
            stage="evaluate", label="scores", version=evaluate.VERSION, payload=payload, inputs=inputs,
            here=True, run=results.evaluate(self.study, _ids(authors), list(benchmarks)),
        )  # fmt: skip

    def _report(
        self, rows: Step, benchmarks: dict[str, Step], screens: dict[str, Step], pool: Step | None,
        arms: dict[tuple[str, str], Step], authors: list[Author], scored: Step,
    ) -> Step:  # fmt: skip
        inputs = {**scored.inputs, "rows": rows, "scores": scored} | ({"pool": pool} if pool is not None else {})
        inputs |= {f"screen:{teacher}": step for teacher, step in screens.items()}
        inputs |= {f"examples:{arm}@{rule}": step for (arm, rule), step in arms.items()}
        inputs |= {f"train:{a.label}#{a.seed}": a.checkpoint for a in authors if a.checkpoint is not None}
        return Step(
            stage="report", label=self.study.name, version=report.VERSION,
            payload={"study": resolved(self.study), "margin_stated": self.study.evaluate.margin_stated},
            inputs=inputs, here=True, run=results.report(self.study, _ids(authors), list(benchmarks)),
        )  # fmt: skip


def pilots(plan: Plan, wiring: Wiring, n: int) -> dict[str, Step]:
    """A step for each endpoint that really asks `n` of the problems, the same ones for all, and grades the replies."""
    study, steps = plan.study, dict[str, Step]()
    for name in asking_order(study.teachers):
        teacher, (traces, _) = study.teachers[name], plan.teachers[name]
        if not isinstance(teacher, EndpointTeacher):
            continue
        inputs = dict(traces.inputs)
        if teacher.after in steps:
            inputs[f"verdicts:{teacher.after}"] = steps[teacher.after]
        payload = {**traces.payload, "pilot": n, "study_seed": study.seed, "verifier": VERIFIER}
        steps[name] = Step(
            stage="pilot", label=name, version=generate.VERSION, payload=payload, inputs=inputs,
            run=wiring.pilot(name, n),
        )  # fmt: skip
    return steps


def _ids(authors: list[Author]) -> list[AuthorId]:
    return [AuthorId(a.label, a.kind, a.arm, a.match, a.student, a.seed, a.effort) for a in authors]


def _suffix(rule: str) -> str:
    """What labels say of the matching rule: nothing of the first one."""
    return "" if rule == "problems" else f"@{rule}"


def _tokenizer_payload(name: str) -> str:
    file = Path(model_path(name)) / "tokenizer.json"
    return file_digest(file)[:32] if file.is_file() else name
