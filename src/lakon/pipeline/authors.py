"""From specs to the authors that are asked: teachers, the judge, models in folders.

Backends are imported when an author is made, so that planning a study opens nothing and loads no client.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lakon.backends.checkpoint.author import CheckpointAuthor
from lakon.core.digest import digest
from lakon.core.errors import Fault
from lakon.core.plugins import find_plugin
from lakon.core.protocols import Author, Engine, Progress, ReplayingAuthor
from lakon.core.spec import Sampling
from lakon.core.spending import Account
from lakon.pipeline import sources
from lakon.pipeline.places import Places
from lakon.stages.generate.specs import (
    CheckpointTeacher,
    EndpointTeacher,
    ProceduralTeacher,
    RecordedTeacher,
    Teacher,
)
from lakon.stages.problems.rows import read_path
from lakon.stages.problems.sources import ProblemSource
from lakon.study.schema import Endpoint, Serving

if TYPE_CHECKING:
    from lakon.backends.endpoint.author import EndpointAuthor
    from lakon.backends.endpoint.connection import AskProgress
    from lakon.backends.endpoint.shared import SharedEndpoint, StepEndpoint
    from lakon.backends.servers.commands import ServerSettings
    from lakon.backends.servers.pool import ServerPool

PROCEDURES = {
    "verbose": "lakon.miniature.teachers:verbose",
    "concise": "lakon.miniature.teachers:concise",
}


class Authors:
    """Everybody that the steps of one run may ask; `account` gives an endpoint's side of the budget by its name."""

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        places: Places,
        engine: Engine,
        stop: threading.Event,
        account: Callable[[str], Account],
        serving: Serving | None = None,
        logs: Path | None = None,
    ) -> None:
        self._endpoints, self._places = endpoints, places
        self._engine, self._stop, self._account = engine, stop, account
        self._serving, self._logs = serving, logs
        self._servers: ServerPool | None = None
        self._shared: dict[str, SharedEndpoint] = {}
        self._lock = threading.Lock()

    def make_teacher(
        self,
        name: str,
        teacher: Teacher,
        *,
        seed: int,
        source: ProblemSource | None,
        revision: str | None,
        progress: Progress,
    ) -> Author | ReplayingAuthor:
        """A teacher, ready to be asked. Recorded traces that come with the problems are read from their `source`, at
        the commit that the problems were read at."""
        match teacher:
            case ProceduralTeacher():
                return self._procedural(teacher, seed)
            case RecordedTeacher():
                return self._recorded(self._places.locate(teacher), source, revision)
            case EndpointTeacher():
                # One that draws until it is right adds requests as replies come, which a shared window does not take.
                make = self.make_endpoint if teacher.stops_when_correct else self.share_endpoint
                return make(name, teacher, progress)
            case CheckpointTeacher():
                return self.make_sampler(teacher.path, seed, teacher.sampling, progress=progress)

    def _procedural(self, teacher: ProceduralTeacher, seed: int) -> Author:
        from lakon.backends.procedural import ProceduralAuthor

        procedure = find_plugin(PROCEDURES.get(teacher.procedure, teacher.procedure), {}, "procedure")
        return ProceduralAuthor(procedure, teacher.procedure, error_rate=teacher.error_rate, seed=seed)

    def _recorded(
        self, teacher: RecordedTeacher, source: ProblemSource | None, revision: str | None
    ) -> ReplayingAuthor:
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
        if source is not None and not source.is_generated:
            source = self._places.locate(source)
        rows, who = sources.trace_rows(teacher, source, revision)
        return RecordedAuthor(
            rows,
            fields,
            split=functools.partial(split_reasoning, prefills_think=teacher.prefills_think),
            split_message=functools.partial(split_message, prefills_think=teacher.prefills_think),
            read_path=read_path,
            digest=who,
        )

    def make_endpoint(self, name: str, teacher: EndpointTeacher, progress: Progress | None) -> EndpointAuthor:
        """Whoever is served under a name of `run.endpoints`."""
        from lakon.backends.endpoint.author import EndpointAuthor

        endpoint = self._endpoints[name]
        key = os.environ.get(endpoint.api_key_env) if endpoint.api_key_env else None
        return EndpointAuthor(
            identity=teacher.identity(),
            model=teacher.model,
            urls=endpoint.urls,
            api_key=key,
            sampling=teacher.sampling.identity(),
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

    def share_endpoint(self, name: str, teacher: EndpointTeacher, progress: Progress) -> StepEndpoint:
        """An endpoint that other steps of this run may ask at the same time: about other benchmarks, as a judge."""
        from lakon.backends.endpoint.shared import SharedEndpoint

        asked_so = f"{name} {digest(teacher.payload())}"
        with self._lock:
            if (shared := self._shared.get(asked_so)) is None:
                shared = self._shared[asked_so] = SharedEndpoint(self.make_endpoint(name, teacher, None))
        return shared.join(functools.partial(_show, progress))

    def find_faults(self, served: Mapping[str, EndpointTeacher], names: Iterable[str]) -> list[Fault]:
        """What would keep these of the endpoints from working, found without a paid request."""
        return [
            fault._replace(where=f"run.endpoints.{name}: {fault.where}")
            for name in names
            for fault in self.make_endpoint(name, served[name], None).check()
        ]

    def make_sampler(
        self, model: str, seed: int, sampling: Sampling, *, checkpoint: str | None = None, progress: Progress
    ) -> Author:
        """A model that is sampled in worker processes, or through servers of its own: by a reference, or a student in a
        folder whose `checkpoint` is known by its content."""
        identity = {"checkpoint": checkpoint or self._places.identity(model), "seed": seed}
        rates = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
        folder = self._places.path(model)
        if self._serving is not None:
            from lakon.backends.servers.author import ServedCheckpoint

            settings = server_settings(self._serving)
            return ServedCheckpoint(
                folder,
                identity,
                pool=self._open_servers(),
                settings=settings,
                stop=self._stop,
                on_progress=functools.partial(_show, progress),
                on_start=lambda seconds: progress.show(starting_s=seconds),
                **rates,
            )
        return CheckpointAuthor(
            folder, identity, engine=self._engine, threads=self._engine.threads, stop=self._stop, **rates
        )

    def _open_servers(self) -> ServerPool:
        """The servers of this run, which it shares."""
        from lakon.backends.servers.pool import ServerPool

        assert self._serving is not None, "the study states a server"
        with self._lock:
            if self._servers is None:
                devices = self._engine.devices
                self._servers = ServerPool(
                    server_settings(self._serving),
                    folder=self._logs or Path(),
                    n_devices=len(devices),
                    lend=devices.lend,
                )
            return self._servers

    def close(self) -> None:
        """End the servers of this run."""
        with self._lock:
            servers, self._servers = self._servers, None
        if servers is not None:
            servers.close()


def server_settings(serving: Serving) -> ServerSettings:
    """What the study says of its server, as plain values."""
    from lakon.backends.servers.commands import ServerSettings

    return ServerSettings(
        kind=serving.server,
        command=serving.command,
        python=serving.python,
        tensor_parallel=serving.tensor_parallel,
        replicas=serving.replicas,
        max_length=serving.max_length,
        extra=serving.extra,
        environment=tuple(sorted(serving.environment.items())),
        concurrency=serving.concurrency,
        start_s=serving.start_s,
        seeded=serving.seeded,
        api=serving.api or ("chat" if serving.server == "transformers" else "completions"),
    )


def _show(progress: Progress, asked: AskProgress) -> None:
    progress.show(
        starting_s=0, in_flight=asked.in_flight, limit=asked.limit, retries=asked.retries, silent_s=asked.silent_s
    )
