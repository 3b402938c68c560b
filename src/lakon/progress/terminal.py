"""How a run goes, as a terminal or a log shows it: bars where somebody looks, plain lines where nobody does."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

from lakon.core.errors import LakonError, RunStopped
from lakon.core.score_text import pluralise
from lakon.progress.meter import Meter
from lakon.progress.status import StatusFile
from lakon.store.artifacts import Artifact
from lakon.store.step import AnyStep

_LINE_EVERY_S = 15.0


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
        self._quit.set()
        if self._bars is not None:
            self._bars.close()
        stopped = kind is not None and issubclass(kind, (RunStopped, KeyboardInterrupt))
        self._status.close("finished" if error is None else "stopped" if stopped else "failed", _why(error))

    def abandon(self) -> None:
        """Write down that the run was stopped, before the process ends at once."""
        self._status.close("stopped", "interrupted twice: what was in flight was dropped")

    def progress(self, step: AnyStep) -> Meter:
        """The meter that the step advances."""
        return self._status.start_meter(step)

    def started(self, step: AnyStep) -> None:
        """A step starts."""
        self._status.start_meter(step)
        if self._bars is None:
            self._say(f"start  {step.name}")

    def finished(self, step: AnyStep, artifact: Artifact, *, cached: bool, seconds: float) -> None:
        """A step is done, or was found done."""
        meter = next((m for m in self._status.meters if m.name == step.name), None)
        figures = f"  ({meter.describe()})" if meter is not None and meter.total and not cached else ""
        self._status.add_finished(step, artifact, cached=cached, seconds=seconds)
        if not cached:
            self._say(f"done   {step.name}  {_rows(artifact.manifest.rows)}  {seconds:.1f} s{figures}")

    def failed(self, step: AnyStep, error: BaseException) -> None:
        """A step failed; the error itself is reported once, at the end."""
        self._say(f"failed {step.name}: {type(error).__name__}")

    def retry_skipped(self, step: str, why: str) -> None:
        """Failed rows of a finished step are not asked again now."""
        self._say(f"kept   {step}: its failed rows are not retried: {why}")

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


def _why(error: BaseException | None) -> str:
    """What ended a run, in one line."""
    if isinstance(error, LakonError):
        return f"{error.where}: {error.fault.found}" if error.where else error.fault.found
    return "" if error is None else f"{type(error).__name__}: {error}".partition("\n")[0]


def _rows(rows: Mapping[str, int]) -> str:
    return ", ".join(
        pluralise(n, table[:-2] if table == "losses" else table[:-1], table) for table, n in rows.items() if n
    )


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
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[text]}"),
            console=Console(stderr=True),
            transient=True,
        )
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
def show_meter(name: str, *, stream: TextIO | None = None, quiet: bool = False) -> Iterator[Meter]:
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
