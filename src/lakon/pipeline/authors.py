"""From a study's specs to the authors that are asked: teachers, the judge, models in folders. `wiring.py` uses it.

Adapters are imported when an author is made, so that planning a study opens nothing and loads no client.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakon.backends.checkpoint.author import CheckpointAuthor
from lakon.core.digest import file_digest
from lakon.core.errors import Fault
from lakon.core.plugins import lookup
from lakon.core.protocols import Author, Progress, ReplayingAuthor
from lakon.core.spending import Account
from lakon.engines.local import LocalEngine
from lakon.pipeline import sources
from lakon.stages.generate.generate import EndpointTeacher, ProceduralTeacher, RecordedTeacher
from lakon.stages.problems.rows import dig
from lakon.stages.train.train import MINIATURE_BASE
from lakon.study.schema import Study

if TYPE_CHECKING:
    from lakon.backends.endpoint.author import EndpointAuthor
    from lakon.backends.endpoint.connection import AskProgress
    from lakon.backends.endpoint.shared import Seat, SharedEndpoint

PROCEDURES = {
    "verbose": "lakon.miniature.teachers:verbose",
    "concise": "lakon.miniature.teachers:concise",
}


class Authors:
    """Everybody that the steps of one run may ask; `account` gives an endpoint's side of the budget by its name."""

    def __init__(
        self, study: Study, engine: LocalEngine, stop: threading.Event, account: Callable[[str], Account]
    ) -> None:
        self._study, self._engine, self._stop, self._account = study, engine, stop, account
        self._shared: dict[str, SharedEndpoint] = {}
        self._lock = threading.Lock()

    def teacher(
        self, name: str, progress: Progress | None = None, revision: str | None = None
    ) -> Author | ReplayingAuthor:
        """A teacher, ready to be asked; recorded traces are read at the commit that the problems were read at."""
        teacher = self._study.teachers[name]
        if isinstance(teacher, ProceduralTeacher):
            return self._procedural(teacher)
        if isinstance(teacher, RecordedTeacher):
            return self._recorded(teacher, revision)
        if isinstance(teacher, EndpointTeacher):
            return self.endpoint(name, teacher, progress)
        identity = {"checkpoint": model_identity(teacher.path), "seed": self._study.seed}
        return self.sampler(model_path(teacher.path), identity, teacher.sampling)

    def _procedural(self, teacher: ProceduralTeacher) -> Author:
        from lakon.backends.procedural import ProceduralAuthor

        path = PROCEDURES.get(teacher.procedure, teacher.procedure)
        procedure = lookup(path, {}, "procedure")
        return ProceduralAuthor(procedure, path, error_rate=teacher.error_rate, seed=self._study.seed)

    def _recorded(self, teacher: RecordedTeacher, revision: str | None) -> ReplayingAuthor:
        from lakon.backends.reasoning_formats import split_message, split_reasoning
        from lakon.backends.recorded import Fields, RecordedAuthor

        fields = Fields(
            problem=teacher.problem_field,
            reasoning=teacher.reasoning_field,
            answer=teacher.answer_field,
            text=teacher.text_field,
            messages=teacher.messages_field,
            finish=teacher.finish_field,
            tokens=teacher.tokens_field,
            where=teacher.where,
            max_tokens=teacher.max_tokens,
        )
        rows, who = sources.trace_rows(teacher, self._study.problems, revision)
        return RecordedAuthor(
            rows,
            fields,
            split=functools.partial(split_reasoning, prefills_think=teacher.prefills_think),
            split_message=functools.partial(split_message, prefills_think=teacher.prefills_think),
            dig=dig,
            digest=who,
        )

    def endpoint(self, name: str, teacher: EndpointTeacher, progress: Progress | None) -> EndpointAuthor:
        from lakon.backends.endpoint.author import EndpointAuthor

        endpoint = self._study.run.endpoints[name]
        key = os.environ.get(endpoint.api_key_env) if endpoint.api_key_env else None
        return EndpointAuthor(
            identity=teacher.identity(),
            model=teacher.model,
            urls=endpoint.urls,
            api_key=key,
            sampling=teacher.sampling.identity(),
            system=teacher.system,
            api=teacher.api,
            stream=endpoint.stream,
            concurrency=endpoint.concurrency,
            timeout_s=endpoint.timeout_s,
            retries=endpoint.retries,
            requests_per_minute=endpoint.requests_per_minute,
            tokens_per_minute=endpoint.tokens_per_minute,
            idle_timeout_s=endpoint.idle_timeout_s,
            prefills_think=teacher.prefills_think,
            send_seed=teacher.seeded,
            stop=self._stop,
            account=self._account(name),
            on_progress=functools.partial(_show, progress) if progress else None,
        )

    def seat(self, name: str, teacher: EndpointTeacher, progress: Progress, *, answered: Callable[[], bool]) -> Seat:
        """An endpoint that other steps of this run ask at the same time; `answered` says whether an earlier run had
        replies from it, and is not called once this one has."""
        from lakon.backends.endpoint.shared import SharedEndpoint

        with self._lock:
            if (shared := self._shared.get(name)) is None:
                shared = self._shared[name] = SharedEndpoint(self.endpoint(name, teacher, None))
        if not shared.author.answered and answered():
            shared.author.answered = True
        return shared.seat(functools.partial(_show, progress))

    def faults(self, names: Iterable[str]) -> list[Fault]:
        """What would keep these endpoints from working, found without a paid request."""
        served = self._study.served
        return [
            fault._replace(where=f"run.endpoints.{name}: {fault.where}")
            for name in names
            for fault in self.endpoint(name, served[name], None).check()
        ]

    def sampler(self, folder: str, identity: object, sampling: Any) -> Author:
        return CheckpointAuthor(
            folder,
            identity,
            engine=self._engine,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            threads=self._engine.threads,
            stop=self._stop,
        )


def _show(progress: Progress, asked: AskProgress) -> None:
    progress.show(in_flight=asked.in_flight, limit=asked.limit, retries=asked.retries, silent_s=asked.silent_s)


def model_path(name: str) -> str:
    """Where a model or tokenizer lies: the shipped base's folder for `miniature:base`, else the name itself."""
    if name in (MINIATURE_BASE, "miniature"):
        from lakon.miniature.student import base_path

        return str(base_path())
    return name


def model_identity(name: str) -> object:
    """What a base model is, for keys: the digests of its files, or its name on the hub."""
    folder = Path(model_path(name))
    if not folder.is_dir():
        return {"hub": name}
    return {p.name: file_digest(p) for p in sorted(folder.iterdir()) if p.is_file() and p.name != "recipe.json"}
