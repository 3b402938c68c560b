"""The steps of a pilot: every endpoint is really asked about a few of the problems, the same ones for all."""

from __future__ import annotations

from lakon.domains.math import VERSION as VERIFIER
from lakon.pipeline.plan import Plan
from lakon.pipeline.resources import Wiring
from lakon.stages.generate import generate
from lakon.stages.generate.generate import EndpointTeacher
from lakon.store.step import Step
from lakon.study.schema import asking_order


def pilots(plan: Plan, wiring: Wiring, n: int) -> dict[str, Step]:
    """A step for each endpoint that really asks `n` of the problems, the same ones for all, and grades the replies."""
    study, steps = plan.study, dict[str, Step]()
    for name in asking_order(study.teachers):
        teacher, (traces, _) = study.teachers[name], plan.teachers[name]
        if not isinstance(teacher, EndpointTeacher):
            continue
        inputs = dict(traces.inputs)
        if teacher.if_correct in steps:
            inputs[f"verdicts:{teacher.if_correct}"] = steps[teacher.if_correct]
        payload = {**traces.payload, "pilot": n, "study_seed": study.seed, "verifier": VERIFIER}
        steps[name] = Step(
            stage="pilot",
            label=name,
            version=generate.VERSION,
            payload=payload,
            inputs=inputs,
            run=wiring.pilot(name, n),
        )
    return steps
