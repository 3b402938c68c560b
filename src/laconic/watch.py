"""How a run is watched: lines or bars in a terminal, and a status file that another shell can read.

Invariant: watching never changes a result, and a run without a terminal prints plain lines that a log can hold.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from laconic.core.wording import money
from laconic.store.artifacts import Artifact
from laconic.store.step import Step
from laconic.wiring import Wiring

_STATUS_EVERY_S = 1.0
_LINE_EVERY_S = 15.0
_STEADY_S = 0.5


@dataclass(slots=True)
class Meter:
    """How far one step is; safe to advance from several threads."""

    name: str
    total: int = 0
    done: int = 0
    before: int = 0
    """Done before this run: not counted in the rate."""
    unit: str = "rows"
    figures: dict[str, float] = field(default_factory=dict[str, float])
    began: float = field(default_factory=time.monotonic)
    shown: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, total: int, *, done: int = 0, unit: str = "rows") -> None:
        """Say how much there is, and how much of it was there already."""
        with self._lock:
            self.total, self.done, self.before, self.unit = total, done, done, unit
            self.began, self.figures = time.monotonic(), {}

    def advance(self, n: int = 1, **figures: float) -> None:
        """`n` more are done; figures are added up, except a loss, which replaces the last one."""
        with self._lock:
            self.done += n
            for name, value in figures.items():
                self.figures[name] = value if name == "loss" else self.figures.get(name, 0.0) + value

    def show(self, **figures: float) -> None:
        """Figures of this moment, which replace those shown before."""
        with self._lock:
            self.figures |= figures

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def rate(self) -> float:
        """Units a second in this run; 0 while it is too early to tell."""
        return (self.done - self.before) / self.seconds if self.seconds > _STEADY_S else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds to go at this rate."""
        return (self.total - self.done) / self.rate if self.rate > 0 and self.total else None

    def facts(self) -> dict[str, Any]:
        """The meter as plain values, for the status file."""
        shown = {"step": self.name, "done": self.done, "total": self.total, "unit": self.unit}
        figures = {**shown, "rate": round(self.rate, 3), "left_s": self.left_s, **self.figures}
        return {**figures, "text": self.describe()}

    def describe(self) -> str:
        """`512/1,024 traces, 33.1/s, 9,120 tokens/s, 2 errors, 0:15 left`; without a total, `512 traces, 33.1/s`."""
        if not self.total and not self.done:
            return "starting"
        parts = [f"{self.done:,}/{self.total:,} {self.unit}" if self.total else f"{self.done:,} {self.unit}"]
        if self.rate > 0:
            parts.append(f"{self.rate:,.1f}/s")
        if self.figures.get("tokens") and self.rate > 0:
            parts.append(f"{self.figures['tokens'] / self.seconds:,.0f} tokens/s")
        if "loss" in self.figures:
            parts.append(f"loss {self.figures['loss']:.3f}")
        if self.figures.get("cost"):
            parts.append(f"cost {money(self.figures['cost'])}")
        if self.figures.get("in_flight"):
            parts.append(f"{int(self.figures['in_flight'])} in flight")
        if self.figures.get("errors"):
            parts.append(f"{int(self.figures['errors'])} errors{self._kinds()}")
        if self.left_s is not None and self.done < self.total:
            parts.append(f"{clock(self.left_s)} left")
        return ", ".join(parts)

    def _kinds(self) -> str:
        """` (3 timeout, 1 server_error)`."""
        kinds = {k.removeprefix("error: "): int(n) for k, n in self.figures.items() if k.startswith("error: ")}
        ordered = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
        return f" ({', '.join(f'{n} {kind}' for kind, n in ordered[:4])})" if ordered else ""


def clock(seconds: float) -> str:
    """`1:02:03` or `2:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class StatusFile:
    """Writes where a run stands to `runs/<study>.json` in the store, about once a second."""

    def __init__(self, path: Path, study: str, steps: int) -> None:
        self._path, self._study, self._steps = path, study, steps
        self._meters: dict[str, Meter] = {}
        self._done: list[dict[str, Any]] = []
        self._began = time.time()
        self._quit = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._loop, daemon=True, name="status")

    def open(self) -> None:
        """Start writing."""
        self._thread.start()

    def close(self, state: str) -> None:
        """Write the last state: `finished`, `failed` or `stopped`."""
        self._quit.set()
        self._thread.join()
        self._write(state)

    def meter(self, step: Step) -> Meter:
        """The meter of a step that starts."""
        with self._lock:
            return self._meters.setdefault(step.name, Meter(step.name))

    def done(self, step: Step, artifact: Artifact, *, cached: bool, seconds: float) -> None:
        """File a finished step."""
        with self._lock:
            self._meters.pop(step.name, None)
            where = f"{artifact.manifest.stage}/{artifact.folder.name}"
            self._done.append({"step": step.name, "cached": cached, "seconds": round(seconds, 2), "artifact": where})

    @property
    def meters(self) -> list[Meter]:
        """What is under way."""
        with self._lock:
            return list(self._meters.values())

    def _loop(self) -> None:
        while not self._quit.wait(_STATUS_EVERY_S):
            self._write("running")

    def _write(self, state: str) -> None:
        with self._lock:
            running = [meter.facts() for meter in self._meters.values()]
            facts = {
                "study": self._study, "state": state, "pid": os.getpid(), "began": self._began, "now": time.time(),
                "steps": self._steps, "finished": list(self._done), "running": running,
            }  # fmt: skip
        scratch = self._path.with_suffix(".tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_text(json.dumps(facts, indent=1), encoding="utf-8")
            scratch.replace(self._path)
        except OSError:
            return  # a full disk is reported by the step that fills it, not by its onlooker


class Watch:
    """Tells a terminal, a log and the status file how a run goes."""

    def __init__(self, status: StatusFile, *, stream: TextIO | None = None, quiet: bool = False) -> None:
        self._status, self._stream, self._quiet = status, stream or sys.stderr, quiet
        self._bars = _Bars(lambda: status.meters) if not quiet and self._stream.isatty() else None
        self._lock = threading.Lock()
        self._quit = threading.Event()
        self._pulse = threading.Thread(target=self._lines, daemon=True, name="progress")

    def __enter__(self) -> Watch:
        self._status.open()
        if self._bars is not None:
            self._bars.open()
        elif not self._quiet:
            self._pulse.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from laconic.core.errors import RunStopped

        self._quit.set()
        if self._bars is not None:
            self._bars.close()
        stopped = kind is not None and issubclass(kind, (RunStopped, KeyboardInterrupt))
        self._status.close("finished" if error is None else "stopped" if stopped else "failed")

    def abandon(self) -> None:
        """Write down that the run was stopped, before the process ends at once."""
        self._status.close("stopped")

    def progress(self, step: Step) -> Meter:
        """The meter that the step advances."""
        return self._status.meter(step)

    def started(self, step: Step) -> None:
        """A step starts."""
        self._status.meter(step)
        if self._bars is None:
            self._say(f"start  {step.name}")

    def finished(self, step: Step, artifact: Artifact, *, cached: bool, seconds: float) -> None:
        """A step is done, or was found done."""
        meter = next((m for m in self._status.meters if m.name == step.name), None)
        figures = f"  ({meter.describe()})" if meter is not None and meter.total and not cached else ""
        self._status.done(step, artifact, cached=cached, seconds=seconds)
        if not cached:
            self._say(f"done   {step.name}  {_rows(artifact.manifest.rows)}  {seconds:.1f} s{figures}")

    def failed(self, step: Step, error: BaseException) -> None:
        """A step failed; the error itself is reported once, at the end."""
        self._say(f"failed {step.name}: {type(error).__name__}")

    def left(self, step: str, why: str) -> None:
        """Failed rows of a finished step are not asked again now."""
        self._say(f"left   {step}: its failed rows are not asked again now: {why}")

    def _say(self, text: str) -> None:
        if self._quiet:
            return
        with self._lock:
            if self._bars is not None:
                self._bars.say(text)
            else:
                print(text, file=self._stream, flush=True)

    def _lines(self) -> None:
        """Without a terminal: a line for each step under way that has been silent for a while."""
        while not self._quit.wait(1.0):
            for meter in self._status.meters:
                if time.monotonic() - meter.shown > _LINE_EVERY_S and meter.total:
                    meter.shown = time.monotonic()
                    self._say(f"...    {meter.name}  {meter.describe()}")


def _rows(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {table}" for table, n in rows.items() if n)


class _Bars:
    """One bar for each step under way, by rich."""

    def __init__(self, meters: Callable[[], list[Meter]]) -> None:
        self._meters = meters
        self._quit = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True, name="bars")

    def open(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[text]}"),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._progress.start()
        self._thread.start()

    def close(self) -> None:
        self._quit.set()
        self._thread.join()
        self._progress.stop()

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    def _loop(self) -> None:
        tasks: dict[str, Any] = {}
        while not self._quit.wait(0.25):
            meters = {meter.name: meter for meter in self._meters()}
            for name, meter in meters.items():
                if name not in tasks:
                    tasks[name] = self._progress.add_task(name, total=None, text="")
                self._progress.update(
                    tasks[name], total=meter.total or None, completed=meter.done, text=meter.describe()
                )
            for name in [name for name in tasks if name not in meters]:
                self._progress.remove_task(tasks.pop(name))


@contextlib.contextmanager
def metered(name: str, *, stream: TextIO | None = None, quiet: bool = False) -> Iterator[Meter]:
    """One meter, shown as a bar or in lines: for work that belongs to no study and has no status file."""
    meter, place = Meter(name), sys.stderr if stream is None else stream
    if quiet:
        yield meter
    elif place.isatty():
        bars = _Bars(lambda: [meter])
        bars.open()
        try:
            yield meter
        finally:
            bars.close()
    else:
        quit_ = threading.Event()
        threading.Thread(target=_lines_of, args=(meter, place, quit_), daemon=True, name="progress").start()
        try:
            yield meter
        finally:
            quit_.set()


def _lines_of(meter: Meter, stream: TextIO, quit_: threading.Event) -> None:
    while not quit_.wait(_LINE_EVERY_S):
        print(f"...    {meter.name}  {meter.describe()}", file=stream, flush=True)


@contextlib.contextmanager
def interruptible(wiring: Wiring, watch: Watch) -> Iterator[None]:
    """Ctrl-C (and a polite kill) once: finish what is in flight; twice: drop it. Both keep every finished row."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: object) -> None:
        del frame
        # Written past every lock and buffer: the handler may have interrupted the very line that holds them.
        if wiring.stop.is_set():
            last = threading.Thread(target=_drop, args=(wiring, watch), daemon=True)
            last.start()
            last.join(5)
            os.write(2, b"dropped what was in flight; run the same command again to go on from here\n")
            os._exit(130)  # a request may hang for an hour: nothing is waited for, and nothing that came is lost
        wiring.stop.set()
        os.write(2, f"{signal.Signals(number).name}: finishing what is in flight; once more to drop it\n".encode())

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _drop(wiring: Wiring, watch: Watch) -> None:
    wiring.halt()
    watch.abandon()
