"""The steps from a source of problems to arms: problems, decontamination, traces, verdicts, screens, pool, examples."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lakon.core.digest import digest, file_digest
from lakon.domains.judge import VERSION as JUDGE_VERSION
from lakon.domains.math import VERSION as VERIFIER
from lakon.pipeline.authors import model_identity, model_path
from lakon.pipeline.resources import Wiring
from lakon.pipeline.sources import files_digest
from lakon.pipeline.steps import corpus
from lakon.pipeline.steps import problems as intake
from lakon.stages.curate import filters as screen
from lakon.stages.curate import pool as curate
from lakon.stages.curate.arms import SEEDED, Arm
from lakon.stages.generate import generate
from lakon.stages.generate.generate import CheckpointTeacher, EndpointTeacher, ProceduralTeacher, RecordedTeacher
from lakon.stages.problems import decontaminate
from lakon.stages.problems import sources as problems
from lakon.stages.problems.sources import ProblemSource, SyntheticProblems
from lakon.stages.verify import verify
from lakon.store.step import Step
from lakon.study.schema import Study


class CorpusSteps:
    """Makes the steps up to arms."""

    def __init__(self, study: Study, wiring: Wiring) -> None:
        self.study, self.wiring = study, wiring
        self.counting = tokenizer_payload(study.counting)

    def problems(self, label: str, source: ProblemSource) -> Step:
        """The problems of a source: the study's own, or a benchmark's."""
        local = None if isinstance(source, SyntheticProblems) or not Path(source.path).exists() else source.path
        payload: dict[str, Any] = source.payload(exclude=frozenset({"path"} if local else ()))
        if local:
            payload["file"] = files_digest(local)
        seed = 0 if isinstance(source, SyntheticProblems) or source.count is None else self.study.seed
        return Step(
            stage="problems",
            label=label,
            version=problems.VERSION,
            payload={**payload, "sample_seed": seed},
            inputs={},
            run=intake.problems(source, seed),
        )

    def decontaminate(self, rows: Step, benchmarks: dict[str, Step]) -> Step:
        """The problems without what copies the benchmarks."""
        return Step(
            stage="decontaminate",
            label="problems",
            version=decontaminate.VERSION,
            payload=self.study.decontaminate.payload(),
            inputs={"problems": rows, **{f"benchmark:{name}": step for name, step in benchmarks.items()}},
            here=True,
            run=intake.decontaminate(self.study),
        )

    def teacher(self, name: str, source: Step, before: dict[str, tuple[Step, Step]]) -> tuple[Step, Step]:
        """A teacher's traces and verdicts; `before` holds those of the teachers that are asked earlier."""
        teacher = self.study.teachers[name]
        payload: dict[str, Any] = {"author": name, "tokenizer": self.counting}
        if getattr(teacher, "until", None) is not None:
            payload["verifier"] = VERIFIER
        inputs = {"problems": source}
        if teacher.if_correct is not None:
            inputs[f"verdicts:{teacher.if_correct}"] = before[teacher.if_correct][1]
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
            stage="generate",
            label=name,
            version=generate.VERSION,
            payload=payload,
            inputs=inputs,
            here=isinstance(teacher, RecordedTeacher),
            run=self.wiring.teach(name),
        )
        return traces, verify_step(self.study, self.wiring, name, source, traces)

    def _source_digest(self) -> str:
        source = self.study.problems
        if isinstance(source, SyntheticProblems) or not Path(source.path).exists():
            return digest(source.payload())
        return files_digest(source.path)

    def screen(self, name: str, traces: Step, verdicts: Step) -> Step:
        """A teacher's filtered traces and profiles."""
        filters = self.study.curate.filters
        payload = filters.payload()
        if filters.max_tokens is not None:
            payload["students"] = [tokenizer_payload(student.base) for student in self.study.students]
        return Step(
            stage="screen",
            label=name,
            version=screen.VERSION,
            payload=payload,
            inputs={"traces": traces, "verdicts": verdicts},
            here=True,
            run=corpus.screen(self.study, model_path),
        )

    def _screened(self, teachers: Iterable[str], screens: dict[str, Step]) -> dict[str, Step]:
        """Screens as inputs, where a filter makes them matter."""
        return {f"screen:{t}": screens[t] for t in teachers} if self.study.curate.filters.active else {}

    def pool(self, source: Step, teachers: dict[str, tuple[Step, Step]], screens: dict[str, Step]) -> Step:
        """The problems that arms are drawn from."""
        spec = self.study.curate
        payload: dict[str, Any] = spec.payload(exclude=frozenset({"match", "token_budget", "filters"}))
        if spec.count is not None:
            payload["seed"] = self.study.seed
        payload |= (
            {"if_correct": chain}
            if (chain := {n: t.if_correct for n, t in self.study.teachers.items() if t.if_correct})
            else {}
        )
        verdicts = {f"verdicts:{name}": verdict for name, (_, verdict) in teachers.items()}
        return Step(
            stage="curate",
            label="pool",
            version=curate.VERSION,
            payload=payload,
            inputs={"problems": source, **verdicts, **self._screened(teachers, screens)},
            here=True,
            run=corpus.pool(self.study),
        )

    def arms(
        self, source: Step, pool: Step, teachers: dict[str, tuple[Step, Step]], screens: dict[str, Step]
    ) -> dict[tuple[str, str], Step]:
        """(arm, matching rule) to its examples."""
        study = self.study
        whole = {name: self._arm(name, arm, source, pool, teachers, screens) for name, arm in study.arms.items()}
        out: dict[tuple[str, str], Step] = {}
        for rule in study.curate.match:
            taking = {name: step for name, step in whole.items() if rule in (study.arms[name].match or (rule,))}
            for name, step in taking.items():
                out[name, rule] = step if rule == "problems" else self._match(name, rule, taking)
        return out

    def _arm(
        self,
        name: str,
        arm: Arm,
        source: Step,
        pool: Step,
        teachers: dict[str, tuple[Step, Step]],
        screens: dict[str, Step],
    ) -> Step:
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
            stage="curate",
            label=name,
            version=curate.VERSION,
            payload=payload,
            inputs={"problems": source, "pool": pool, **inputs},
            here=True,
            run=corpus.arm(self.study, name, lambda: self.wiring.counter),
        )

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
            stage="curate",
            label=f"{name}@{rule}",
            version=curate.VERSION,
            payload=payload,
            inputs={f"examples:{arm}": step for arm, step in taking.items()},
            here=True,
            run=corpus.match(self.study, name, rule),
        )


def verify_step(study: Study, wiring: Wiring, label: str, source: Step, traces: Step) -> Step:
    """Verdicts about the traces of one author, teacher or student."""
    return Step(
        stage="verify",
        label=label,
        version=verify.VERSION,
        payload=_verify_payload(study),
        inputs={"problems": source, "traces": traces},
        run=wiring.verify(label),
    )


def _verify_payload(study: Study) -> dict[str, Any]:
    spec = study.verify
    payload: dict[str, Any] = {**spec.payload(exclude=frozenset({"overrides"})), "verifier": VERIFIER}
    if spec.judge is not None:
        payload["judge_version"] = JUDGE_VERSION
    if spec.audit:
        payload["seed"] = study.seed
    if spec.overrides is not None:
        payload["overrides"] = files_digest(spec.overrides)
    return payload


def tokenizer_payload(name: str) -> str:
    """A tokenizer in a key: by the content of its file, where it is a folder."""
    file = Path(model_path(name)) / "tokenizer.json"
    return file_digest(file)[:32] if file.is_file() else name
