"""Who watches a run: a bar on a terminal, plain lines anywhere else. One line per trouble, never one per file."""

import sys
import time
from types import TracebackType
from typing import Final, Protocol, Self, TextIO

from mirrorsync.model.outcome import Failed, Mirrored, Outcome, Removed

_EVERY: Final = 30.0
"""Seconds between two plain lines of progress."""


class Audience(Protocol):
    """Whoever watches a run, as a context that ends with it. Called on the event loop; every call returns at once."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def awaits(self, projects: int) -> None:
        """Hear how many projects are waiting or under way."""

    def fetched(self, size: int) -> None:
        """Hear of so many more bytes of files."""

    def ended(self, outcome: Outcome) -> None:
        """Hear how bringing up a project ended; the state knows it already."""

    def notes(self, text: str) -> None:
        """Hear something that an operator should know and that belongs to no one project."""


def printable(text: str) -> str:
    """Return upstream's or the system's text without what could steer a terminal or break a log line."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def trouble(outcome: Failed) -> str:
    """Return the lines that tell a failure."""
    told = printable(f"{outcome.name}: {outcome.error}")
    return f"{told}\n  hint: {printable(outcome.hint)}" if outcome.hint else told


class Lines:
    """Plain lines: for journald, cron and pipes."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._done = 0
        self._waiting = 0
        self._bytes = 0
        self._said_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._out.flush()

    def awaits(self, projects: int) -> None:
        """Hear how many projects are waiting or under way."""
        self._waiting = projects

    def fetched(self, size: int) -> None:
        """Count bytes."""
        self._bytes += size
        self._perhaps_say()

    def ended(self, outcome: Outcome) -> None:
        """Tell a failure or a removal at once; the rest now and then."""
        self._done += 1
        if isinstance(outcome, Failed):
            self._say(trouble(outcome))
        elif isinstance(outcome, Removed):
            self._say(f"{outcome.name}: {outcome.reason}")
        self._perhaps_say()

    def notes(self, text: str) -> None:
        """Tell it at once."""
        self._say(printable(text))

    def _perhaps_say(self) -> None:
        now = time.monotonic()
        if now - self._said_at >= _EVERY:
            self._said_at = now
            self._say(f"{self._done} projects done, {self._waiting} waiting, {self._bytes / 2**20:.1f} MiB fetched")

    def _say(self, text: str) -> None:
        print(text, file=self._out, flush=True)


class Bar:
    """A progress bar on a terminal; troubles stand above it."""

    def __init__(self) -> None:
        # Imported here: a daemon and a pipe never draw.
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415 -- as above

        self._progress: Progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("projects  {task.fields[size]:.1f} MiB", markup=False),
            TimeElapsedColumn(),
        )
        self._task = self._progress.add_task("mirroring", total=None, size=0.0)
        self._done = 0
        self._bytes = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def awaits(self, projects: int) -> None:
        """Set the bar's length."""
        self._progress.update(self._task, total=self._done + projects)

    def fetched(self, size: int) -> None:
        """Count bytes."""
        self._bytes += size
        self._progress.update(self._task, size=self._bytes / 2**20)

    def ended(self, outcome: Outcome) -> None:
        """Advance; tell a failure above the bar."""
        self._done += 1
        name = outcome.name if isinstance(outcome, Mirrored) else "mirroring"
        self._progress.update(self._task, advance=1, description=f"{name[:24]:24}")
        if isinstance(outcome, Failed):
            self._above(trouble(outcome))

    def notes(self, text: str) -> None:
        """Tell it above the bar."""
        self._above(printable(text))

    def _above(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)


def audience() -> Audience:
    """Return the bar on a terminal, lines elsewhere."""
    return Bar() if sys.stderr.isatty() else Lines()
