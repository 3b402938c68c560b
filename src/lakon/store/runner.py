"""Runs a plan: what is missing, in order, independent steps side by side, and nothing twice.

A step whose key is in the store is skipped. Keys become known as inputs finish, so the plan is walked while it runs.
Two steps that turn out to have one key (an arm that two matching rules leave the same) are run once.
"""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Literal, Protocol

from lakon.core import memory
from lakon.core.errors import AuthorError, BudgetSpent, LakonError, RunStopped
from lakon.core.protocols import Progress
from lakon.store import filesystem
from lakon.store.artifacts import AnyStore, Artifact, unwritable_error
from lakon.store.facts import RetryFacts
from lakon.store.step import AnyStep, Step, StepContext, in_order, replace_leaves

Mode = Literal["cached", "force", "retry"]
SIDE_BY_SIDE = 8
IN_PROCESS_AT_ONCE = 2
"""Steps on tables in this process at a time: under one interpreter lock a third one saves no time, and each holds some
batches of long texts and its ids."""
_STORE_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


class Watcher(Protocol):
    """Who is told how a run goes: a terminal, a status file, a test."""

    def progress(self, step: AnyStep) -> Progress: ...

    def started(self, step: AnyStep) -> None: ...

    def finished(self, step: AnyStep, artifact: Artifact, *, cached: bool, seconds: float) -> None: ...

    def failed(self, step: AnyStep, error: BaseException) -> None: ...

    def retry_skipped(self, step: str, why: str) -> None: ...


@dataclass(slots=True)
class RunResult:
    """What a run did: every step's artifact, and how many steps were executed."""

    artifacts: dict[AnyStep, Artifact] = field(default_factory=dict[AnyStep, Artifact])
    executed: list[str] = field(default_factory=list[str])
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class StepState:
    """One row of a plan: whether the step is in the store, would run, or waits for inputs to be known. An `owed` one is
    in the store with rows that failed and are asked again; until they are, what it made is used as it is."""

    step: AnyStep
    state: Literal["cached", "owed", "missing", "waiting"]
    key: str | None
    artifact: Artifact | None


def inspect_steps(store: AnyStore, targets: Sequence[AnyStep]) -> list[StepState]:
    """Where every step stands, without running anything."""
    states: dict[AnyStep, StepState] = {}
    for step in in_order(list(targets)):
        contents = _contents(step, {s: st.artifact for s, st in states.items() if st.artifact is not None})
        if contents is None:
            states[step] = StepState(step, "waiting", None, None)
            continue
        key = step.key(contents)
        artifact = store.find(step.stage, step.label, key)
        state = "missing" if artifact is None else "owed" if _owes_rows(artifact) else "cached"
        states[step] = StepState(step, state, key, artifact)
    return list(states.values())


def _owes_rows(artifact: Artifact) -> bool:
    """Whether some of its rows failed and have retries left, which the next run is to use."""
    return RetryFacts.of(artifact.manifest).owed > 0


def _contents(step: AnyStep, done: dict[AnyStep, Artifact]) -> dict[str, str] | None:
    sources = step.sources
    if any(source not in done for source in sources.values()):
        return None
    return {name: done[source].content for name, source in sources.items()}


def run_steps(
    store: AnyStore,
    targets: Sequence[AnyStep],
    watcher: Watcher,
    *,
    resources: object = None,
    mode: Mode = "cached",
    forced: frozenset[str] = frozenset(),
    skip_retry: frozenset[str] = frozenset(),
    stop: threading.Event | None = None,
) -> RunResult:
    """Execute whatever is missing or owed for `targets`. Raises the first step's error after the others have stopped.

    `mode="force"` executes the steps named in `forced` (all when it is empty) even if they are in the store;
    `mode="retry"` executes those whose artifact records rows that ended in an error. Of the steps and stages named in
    `skip_retry` the failed rows are left as they are, and so are those that the author or the budget refuses.
    """
    result, began = RunResult(), time.perf_counter()
    states = inspect_steps(store, targets)
    if mode == "cached" and all(state.state == "cached" for state in states):
        for state in states:
            assert state.artifact is not None
            result.artifacts[state.step] = state.artifact
            watcher.finished(state.step, state.artifact, cached=True, seconds=0.0)
    else:
        with hold_store(store):
            _Run(store, watcher, resources, mode, forced, skip_retry, stop or threading.Event(), result).walk(
                [state.step for state in states]
            )
    result.seconds = time.perf_counter() - began
    return result


@contextlib.contextmanager
def hold_store(store: AnyStore) -> Generator[None]:
    """Hold the store: one run, or one clean-up, at a time. Raises `StoreError` naming who has it."""
    lock = store.lock()
    try:
        yield
    finally:
        lock.release()


class _Run:
    """One walk over the steps; only this thread touches its state, workers return values."""

    def __init__(
        self,
        store: AnyStore,
        watcher: Watcher,
        resources: object,
        mode: Mode,
        forced: frozenset[str],
        skip_retry: frozenset[str],
        stop: threading.Event,
        result: RunResult,
    ) -> None:
        self._store, self._watcher, self._result = store, watcher, result
        self._resources = resources
        self._mode, self._forced, self._skip_retry, self._stop = mode, forced, skip_retry, stop
        self._running: dict[Future[Artifact], tuple[AnyStep, str, float]] = {}
        self._owing: dict[AnyStep, Artifact] = {}
        """What steps that ask failed rows again had made before."""
        self._made: set[str] = set()
        """Keys executed in this run: with `force`, a twin of such a step is not executed again."""
        self._error: BaseException | None = None

    def walk(self, steps: list[AnyStep]) -> None:
        pending = list(steps)
        with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="step") as pool:
            while pending or self._running:
                try:
                    if self._error is None and not self._stop.is_set():
                        pending = [step for step in pending if not self._advance(step, pool)]
                    elif not self._running:
                        break
                    self._collect()
                except KeyboardInterrupt:
                    self._stop.set()
        if self._error is not None:
            raise self._error
        if self._stop.is_set():
            raise RunStopped(
                f"interrupted with {len(steps) - len(self._result.artifacts)} of {len(steps)} steps to go",
                "everything that had finished is kept",
                "run the same command again to go on from here",
            )

    def _advance(self, step: AnyStep, pool: ThreadPoolExecutor) -> bool:
        """Skip or start `step` if its inputs are there; True when it needs no further look."""
        contents = _contents(step, self._result.artifacts)
        if contents is None:
            return False
        key = step.key(contents)
        if any(key == running for _, running, _ in self._running.values()):
            return False
        artifact = self._store.find(step.stage, step.label, key)
        if artifact is not None and (key in self._made or not self._again(step, artifact)):
            self._result.artifacts[step] = artifact
            self._watcher.finished(step, artifact, cached=True, seconds=0.0)
            return True
        if step.in_process and sum(other.in_process for other, _, _ in self._running.values()) >= IN_PROCESS_AT_ONCE:
            return False
        if artifact is not None and self._mode == "cached":
            self._owing[step] = artifact
        self._watcher.started(step)
        future = pool.submit(self._execute, step, key, contents)
        self._running[future] = (step, key, time.perf_counter())
        return True

    def _again(self, step: AnyStep, artifact: Artifact) -> bool:
        if self._mode == "force":
            return not self._forced or step.name in self._forced or step.stage in self._forced
        if _owes_rows(artifact) and not {step.name, step.stage} & self._skip_retry:
            return True
        return self._mode == "retry" and RetryFacts.of(artifact.manifest).errors > 0

    def _execute(self, step: AnyStep, key: str, contents: dict[str, str]) -> Artifact:
        try:
            out = self._store.begin(step.stage, step.label, key)
            work = self._store.work_folder(step.stage, key)
            context = StepContext(
                inputs=replace_leaves(step.inputs, lambda source: self._result.artifacts[source], Step),
                out=out,
                resources=self._resources,
                progress=self._watcher.progress(step),
                stop=self._stop,
                earlier=lambda: iter(self._store.find_earlier(step.stage, step.label, but=out.folder)),
                work=work,
                retry=self._mode == "retry",
            )
            step.body(context, step.args)
            made = out.commit(
                stage=step.stage, label=step.label, version=step.version, key=key, payload=step.payload, inputs=contents
            )
            filesystem.remove_folder(work)
            return made
        except OSError as error:
            if error.errno in _STORE_FAULTS:
                raise unwritable_error(self._store.root, error) from error
            raise
        finally:
            memory.release_free()

    def _collect(self) -> None:
        """Wait for any running step and file its result or its error."""
        if not self._running:
            return
        finished, _ = wait(self._running, timeout=0.5, return_when=FIRST_COMPLETED)
        for future in finished:
            step, key, began = self._running.pop(future)
            try:
                artifact = future.result()
            except RunStopped as error:
                if isinstance(error, BudgetSpent) and self._as_it_was(step, error):
                    continue
                self._stop.set()
                if not isinstance(error.__cause__, KeyboardInterrupt) and error.where:
                    self._fail(step, error)
            except Exception as error:
                if not (isinstance(error, AuthorError) and self._as_it_was(step, error)):
                    self._fail(step, error)
            else:
                self._result.artifacts[step] = artifact
                self._result.executed.append(step.name)
                self._made.add(key)
                self._watcher.finished(step, artifact, cached=False, seconds=time.perf_counter() - began)

    def _as_it_was(self, step: AnyStep, error: LakonError) -> bool:
        """Go on with what a step had made before its failed rows were asked in vain; false when it had made nothing."""
        before = self._owing.get(step)
        if before is None:
            return False
        self._result.artifacts[step] = before
        self._watcher.retry_skipped(step.name, error.fault.found)
        self._watcher.finished(step, before, cached=True, seconds=0.0)
        return True

    def _fail(self, step: AnyStep, error: BaseException) -> None:
        if not isinstance(error, LakonError):
            error.add_note(f"in step {step.name}")
        self._watcher.failed(step, error)
        self._error = self._error or error
