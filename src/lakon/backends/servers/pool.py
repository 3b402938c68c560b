"""The servers of one run: as many models at a time as there is room for, each kept while somebody may ask it again.

Whoever wants a model leases it. A model that nobody leases stays up for a while, since its next benchmark is likely to
come soon, and gives way at once to another that has no room.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from lakon.backends.servers.commands import ServedName, ServerSettings, make_command, read_served_name
from lakon.backends.servers.process import ServerProcess
from lakon.core.errors import LakonError, RunStopped

IDLE_S = 20.0
"""How long a server that nobody asks stays up: GPUs may be wanted for a training."""
_LOOK_S = 0.5

Lend = Callable[[int, threading.Event], AbstractContextManager[tuple[str, ...]]]


class ServedModel:
    """A model on its servers, ready to be asked."""

    def __init__(
        self, served: ServedName, processes: list[ServerProcess], context: int | None, *, asked_as: str
    ) -> None:
        self.served, self.processes = served, processes
        self.asked_as = asked_as
        """The name under which the server has it: `transformers serve` calls a model by its folder."""
        self.context = context
        """The most tokens of a prompt and its answer; None where the server does not say."""
        self.tested: Any = None
        """What the self-test found; None until it was made."""
        self.testing = threading.Lock()

    @property
    def urls(self) -> list[str]:
        """A base URL for each replica."""
        return [process.url for process in self.processes]

    def failed(self) -> ServerProcess | None:
        """A server that has died for good."""
        return next((process for process in self.processes if process.has_failed.is_set()), None)


class _Slot:
    """One model that is up, or on its way."""

    def __init__(self) -> None:
        self.model: ServedModel | None = None
        self.failure: BaseException | None = None
        self.users = 0
        self.idle_since = time.monotonic()
        self.resources = ExitStack()


class ServerPool:
    """Starts, shares and ends the servers of one run."""

    def __init__(self, settings: ServerSettings, *, folder: Path, n_devices: int, lend: Lend) -> None:
        self._settings, self._folder, self._lend = settings, folder, lend
        wanted = settings.tensor_parallel * settings.replicas
        self._devices = wanted if n_devices else 0
        self._most = max(1, n_devices // wanted)
        self._slots: dict[str, _Slot] = {}
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, name="idle-servers", daemon=True)
        self._sweeper.start()

    @contextlib.contextmanager
    def lease(self, folder: str, stop: threading.Event, tell: Callable[[float], None]) -> Iterator[ServedModel]:
        """The model of a folder, served; starts it where it is not up. `tell` gets the seconds that this takes so far.

        Raises `RunStopped` when `stop` is set meanwhile, and what starting it raises.
        """
        slot, mine = self._take(folder, stop)
        try:
            if mine:
                self._start(slot, folder, stop, tell)
            yield self._await(slot, stop)
        finally:
            with self._changed:
                slot.users -= 1
                slot.idle_since = time.monotonic()
                broken = slot.failure is not None or (slot.model is not None and slot.model.failed() is not None)
                if broken and not slot.users and self._slots.get(folder) is slot:
                    del self._slots[folder]
                else:
                    broken = False
                self._changed.notify_all()
            if broken:
                slot.resources.close()

    def close(self) -> None:
        """End all servers."""
        self._closed.set()
        with self._changed:
            slots = list(self._slots.values())
            self._slots.clear()
            self._changed.notify_all()
        for slot in slots:
            slot.resources.close()

    # -- slots -----------------------------------------------------------------------------------------------

    def _take(self, folder: str, stop: threading.Event) -> tuple[_Slot, bool]:
        """The slot of a model, and whether it is this caller's to start."""
        while True:
            evicted: _Slot | None = None
            with self._changed:
                self._refuse_if_over(stop)
                if (slot := self._slots.get(folder)) is not None and slot.failure is None:
                    slot.users += 1
                    return slot, False
                if slot is None and len(self._slots) < self._most:
                    slot = self._slots[folder] = _Slot()
                    slot.users = 1
                    return slot, True
                idle = [name for name, each in self._slots.items() if not each.users]
                if idle:
                    evicted = self._slots.pop(min(idle, key=lambda name: self._slots[name].idle_since))
                else:
                    self._changed.wait(_LOOK_S)
            if evicted is not None:
                evicted.resources.close()

    def _refuse_if_over(self, stop: threading.Event) -> None:
        if stop.is_set() or self._closed.is_set():
            raise RunStopped(
                "interrupted while it waited for a server", "nothing of it had begun", "run the same command again"
            )

    def _await(self, slot: _Slot, stop: threading.Event) -> ServedModel:
        with self._changed:
            while slot.model is None and slot.failure is None:
                self._refuse_if_over(stop)
                self._changed.wait(_LOOK_S)
        if slot.failure is not None:
            raise slot.failure
        assert slot.model is not None, "a slot without a failure has its model"
        return slot.model

    def _start(self, slot: _Slot, folder: str, stop: threading.Event, tell: Callable[[float], None]) -> None:
        """Start all replicas of a model; what goes wrong is kept for everybody who waits for it."""
        try:
            devices = slot.resources.enter_context(self._lend(self._devices, stop))
            model = self._serve(slot, folder, devices, stop, tell)
        except BaseException as error:
            with self._changed:
                slot.failure = error
                self._changed.notify_all()
            return
        with self._changed:
            slot.model = model
            self._changed.notify_all()

    def _serve(
        self, slot: _Slot, folder: str, devices: tuple[str, ...], stop: threading.Event, tell: Callable[[float], None]
    ) -> ServedModel:
        settings, served = self._settings, read_served_name(folder)
        processes: list[ServerProcess] = []
        for replica in range(settings.replicas):
            environment = dict(settings.environment)
            if devices:
                own = devices[replica * settings.tensor_parallel :][: settings.tensor_parallel]
                environment["CUDA_VISIBLE_DEVICES"] = ",".join(own)
            process = ServerProcess(
                lambda port: make_command(settings, served, port),
                log=self._folder / f"{served.name}-{replica}.log",
                environment={"HF_HUB_DISABLE_TELEMETRY": "1", "VLLM_NO_USAGE_STATS": "1", **environment},
                start_s=settings.start_s,
            )
            slot.resources.callback(process.stop)
            process.start()
            processes.append(process)
        listed = [process.wait(stop, tell) for process in processes]
        names = {str(row.get("id")) for row in listed[0]}
        _check_name(served, names)
        by_folder = settings.kind == "transformers" or (served.folder in names and served.name not in names)
        lengths = [row.get("max_model_len") for rows in listed for row in rows if row.get("id") == served.name]
        known = [int(length) for length in lengths if isinstance(length, int)]
        context = min(known) if known else settings.max_length
        return ServedModel(served, processes, context, asked_as=served.folder if by_folder else served.name)

    def _sweep(self) -> None:
        """End servers that nobody has asked for a while."""
        while not self._closed.wait(_LOOK_S):
            ended: list[_Slot] = []
            with self._changed:
                now = time.monotonic()
                for folder, slot in list(self._slots.items()):
                    if not slot.users and now - slot.idle_since > IDLE_S:
                        ended.append(self._slots.pop(folder))
                if ended:
                    self._changed.notify_all()
            for slot in ended:
                slot.resources.close()


def _check_name(served: ServedName, names: set[str]) -> None:
    """Refuse a server that has another model."""
    if names and served.name not in names and served.folder not in names:
        raise LakonError(
            f"the server has {', '.join(sorted(names))[:200]}, and not {served.name!r}",
            f"a server that lists the model as {served.name!r}",
            "let run.serving.command pass on {name} as the model's name",
            where="run.serving",
        )
