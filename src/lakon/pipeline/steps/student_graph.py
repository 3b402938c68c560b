"""The steps from arms to the report: students trained and sampled on benchmarks, verdicts, scores."""

from __future__ import annotations

from typing import Any

from lakon.pipeline.authors import model_identity
from lakon.pipeline.plan import Author
from lakon.pipeline.resources import Wiring
from lakon.pipeline.steps import report as reporting
from lakon.pipeline.steps import scores as scoring
from lakon.pipeline.steps import training
from lakon.pipeline.steps.corpus_graph import tokenizer_payload, verify_step
from lakon.pipeline.steps.scores import AuthorId
from lakon.stages.curate.arms import EFFORT
from lakon.stages.evaluate import evaluate
from lakon.stages.generate import generate
from lakon.stages.report import funnel as report
from lakon.stages.train import train
from lakon.store.step import Step
from lakon.study.schema import Study, resolved


class StudentSteps:
    """Makes the steps after arms."""

    def __init__(self, study: Study, wiring: Wiring) -> None:
        self.study, self.wiring = study, wiring
        self.counting = tokenizer_payload(study.counting)

    def authors(self, arms: dict[tuple[str, str], Step], benchmarks: dict[str, Step]) -> list[Author]:
        """Every base and every student, one for each arm, matching rule, seed and effort, with its work."""
        authors: list[Author] = []
        for student in self.study.students:
            prefix = f"{student.label}." if len(self.study.students) > 1 else ""
            base = {"model": model_identity(student.base)}
            if self.study.evaluate.base:
                author = Author(
                    label=f"{prefix}base",
                    kind="base",
                    arm=None,
                    match=None,
                    student=student.label,
                    seed=0,
                    examples=None,
                    checkpoint=None,
                )
                authors.append(self._work(author, f"{prefix}base", student.base, base, benchmarks))
            for (arm, rule), examples in arms.items():
                for seed in self.study.training.seeds:
                    checkpoint = self._train(f"{prefix}{arm}", rule, seed, student.base, base, examples)
                    for effort in self.study.arms[arm].efforts or ("",):
                        name = f"{prefix}{arm}" + (f".{effort}" if effort else "")
                        author = Author(
                            label=name + _suffix(rule),
                            kind="student",
                            arm=arm,
                            match=rule,
                            student=student.label,
                            seed=seed,
                            examples=examples,
                            checkpoint=checkpoint,
                            effort=effort,
                        )
                        authors.append(self._work(author, name, student.base, base, benchmarks))
        return authors

    def _train(self, name: str, rule: str, seed: int, base: str, model: dict[str, Any], examples: Step) -> Step:
        payload = {**self.study.training.payload(exclude=frozenset({"seeds"})), **model, "seed": seed}
        label = name + _suffix(rule) + (f"-{seed}" if len(self.study.training.seeds) > 1 else "")
        return Step(
            stage="train",
            label=label,
            version=train.VERSION,
            payload=payload,
            inputs={"examples": examples},
            run=training.train(self.study, self.wiring.engine, base, seed),
        )

    def _work(self, author: Author, name: str, base: str, model: dict[str, Any], benchmarks: dict[str, Step]) -> Author:
        """The author's traces and verdicts on every benchmark. `name` has no matching rule: one checkpoint, one key."""
        spec, rule = self.study.evaluate, _suffix(author.match or "problems")
        system = EFFORT.format(level=author.effort) if author.effort else ""
        seed = f"-{author.seed}" if author.kind == "student" and len(self.study.training.seeds) > 1 else ""
        payload: dict[str, Any] = {
            "author": name,
            "sampling": spec.sampling.model_dump(),
            "samples": spec.samples,
            "seed": self.study.seed,
            "prompt": self.study.prompt,
            "tokenizer": self.counting,
            **({"system": system} if system else {}),
        }
        for benchmark, source in benchmarks.items():
            inputs = {"problems": source}
            if author.checkpoint is not None:
                inputs["checkpoint"] = author.checkpoint
            traces = Step(
                stage="generate",
                label=f"{name}{rule}{seed}.{benchmark}",
                version=generate.VERSION,
                payload=payload if author.checkpoint else {**payload, **model},
                inputs=inputs,
                run=self.wiring.sample(name, None if author.checkpoint else base, system),
            )
            author.traces[benchmark] = traces
            author.verdicts[benchmark] = verify_step(self.study, self.wiring, traces.label, source, traces)
        return author

    def evaluate(
        self, source: Step, benchmarks: dict[str, Step], teachers: dict[str, tuple[Step, Step]], authors: list[Author]
    ) -> Step:
        """The scores of all authors."""
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
            stage="evaluate",
            label="scores",
            version=evaluate.VERSION,
            payload=payload,
            inputs=inputs,
            here=True,
            run=scoring.evaluate(self.study, _ids(authors), list(benchmarks)),
        )

    def report(
        self,
        rows: Step,
        benchmarks: dict[str, Step],
        screens: dict[str, Step],
        pool: Step | None,
        arms: dict[tuple[str, str], Step],
        authors: list[Author],
        scored: Step,
    ) -> Step:
        """The report, the one step that needs all others."""
        inputs = {**scored.inputs, "rows": rows, "scores": scored} | ({"pool": pool} if pool is not None else {})
        inputs |= {f"screen:{teacher}": step for teacher, step in screens.items()}
        inputs |= {f"examples:{arm}@{rule}": step for (arm, rule), step in arms.items()}
        inputs |= {f"train:{a.label}#{a.seed}": a.checkpoint for a in authors if a.checkpoint is not None}
        return Step(
            stage="report",
            label=self.study.name,
            version=report.VERSION,
            payload={"study": resolved(self.study), "margin_stated": self.study.evaluate.margin_stated},
            inputs=inputs,
            here=True,
            run=reporting.report(self.study, _ids(authors), list(benchmarks)),
        )


def _ids(authors: list[Author]) -> list[AuthorId]:
    return [AuthorId(a.label, a.kind, a.arm, a.match, a.student, a.seed, a.effort) for a in authors]


def _suffix(rule: str) -> str:
    """What labels say of the matching rule: nothing of the first one."""
    return "" if rule == "problems" else f"@{rule}"
