"""The observer of a run: what the pipeline reports, and the plain lines of a run without a log."""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from types import TracebackType
from typing import Final, Literal, Self

import msgspec

from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.identity import Serial
from mirrorsync.model.outcome import Failed, Outcome, Removed
from mirrorsync.model.wording import printable

_PROGRESS_EVERY: Final = 30.0
"""Seconds between two plain lines of progress."""


class Done(msgspec.Struct, frozen=True):
    """What was done since the previous report."""

    projects: int
    """Projects mirrored, confirmed or removed."""
    files: int
    """Files fetched."""
    bytes: int
    """Bytes fetched of files and sidecars."""
    errors: int
    """Failed attempts at projects."""
    serial: Serial | None
    """Everything up to it is served; None while there is no such serial."""


Step = Literal["project", "commit", "poll", "root_index", "sweep"]
"""A timed step: handling a project, recording its outcome, polling upstream, writing the root index, deleting condemned
objects."""
Where = Literal["upstream", "projects", "root list", "removals", "space"]
"""What a lasting trouble affects: polling, fetching any project, and so on."""


class RunObserver:
    """Observes a run, as a context that ends with it. Calls come on the event loop and return at once.

    This base class ignores everything; a subclass overrides what it needs.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Note that the run ended, and with which exception."""

    def queued(self, projects: int) -> None:
        """Note how many projects are waiting or in flight."""

    def fetched(self, size: int) -> None:
        """Note `size` more bytes of files."""

    def ended(self, outcome: Outcome) -> None:
        """Note the outcome of a project; the state has recorded it."""

    def warn(self, text: str) -> None:
        """Warn the operator of something that concerns more than one project."""

    def warn_once(self, topic: str, text: str) -> None:
        """Note `text`, unless this observer has noted something about `topic` before."""
        if topic not in self._topics:
            self._topics.add(topic)
            self.warn(text)

    @cached_property
    def _topics(self) -> set[str]:
        return set()

    def info(self, text: str) -> None:
        """Inform the operator of something that went as expected."""

    def in_flight(self, projects: int) -> None:
        """Note how many projects are being synced now."""

    def published(self, done: Done) -> None:
        """Note a publication, and what was done since the one before; the state has recorded it."""

    def failed(self, where: Where, error: MirrorsyncError) -> None:
        """Note a trouble that concerns more than one project, each time that it occurs."""

    def recovered(self, where: Where) -> None:
        """Note that `where` works, each time that it does."""

    def took(self, step: Step, seconds: float) -> None:
        """Note that `step` ended, successfully or not, `seconds` after it began."""


def failure_lines(outcome: Failed) -> list[str]:
    """Return a failure as lines of text."""
    hint = [f"  hint: {outcome.hint}"] if outcome.hint else []
    return [f"{outcome.name}: {outcome.error}", *hint]


def unchanged(text: str) -> str:
    """Return `text`: the mask of a run without secrets."""
    return text


class RunObservers(RunObserver):
    """Several observers as one: each call goes to each of them, in the order given."""

    def __init__(self, *observers: RunObserver) -> None:
        self._observers = observers
        self._entered = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as entered:
            for observer in self._observers:
                entered.enter_context(observer)
            self._entered = entered.pop_all()  # all or none: if one cannot be entered, the others are left again
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered.__exit__(kind, error, trace)

    def queued(self, projects: int) -> None:
        """Forward."""
        for observer in self._observers:
            observer.queued(projects)

    def fetched(self, size: int) -> None:
        """Forward."""
        for observer in self._observers:
            observer.fetched(size)

    def ended(self, outcome: Outcome) -> None:
        """Forward."""
        for observer in self._observers:
            observer.ended(outcome)

    def warn(self, text: str) -> None:
        """Forward."""
        for observer in self._observers:
            observer.warn(text)

    def info(self, text: str) -> None:
        """Forward."""
        for observer in self._observers:
            observer.info(text)

    def published(self, done: Done) -> None:
        """Forward."""
        for observer in self._observers:
            observer.published(done)

    def failed(self, where: Where, error: MirrorsyncError) -> None:
        """Forward."""
        for observer in self._observers:
            observer.failed(where, error)

    def recovered(self, where: Where) -> None:
        """Forward."""
        for observer in self._observers:
            observer.recovered(where)

    def in_flight(self, projects: int) -> None:
        """Forward."""
        for observer in self._observers:
            observer.in_flight(projects)

    def took(self, step: Step, seconds: float) -> None:
        """Forward."""
        for observer in self._observers:
            observer.took(step, seconds)


class Lines(RunObserver):
    """Writes plain lines to standard error; `mask` takes the secrets out of them."""

    def __init__(self, mask: Callable[[str], str] = unchanged) -> None:
        self._mask = mask
        self._done = 0
        self._waiting = 0
        self._bytes = 0
        self._wrote_at = time.monotonic()

    def queued(self, projects: int) -> None:
        """Remember the number for the line of progress."""
        self._waiting = projects

    def fetched(self, size: int) -> None:
        """Count bytes."""
        self._bytes += size
        self._progress()

    def ended(self, outcome: Outcome) -> None:
        """Write a failure or a removal at once, and progress now and then."""
        self._done += 1
        if isinstance(outcome, Failed):
            self._write(*failure_lines(outcome))
        elif isinstance(outcome, Removed):
            self._write(f"{outcome.name}: {outcome.reason}")
        self._progress()

    def warn(self, text: str) -> None:
        """Write `text`."""
        self._write(text)

    def info(self, text: str) -> None:
        """Write `text`."""
        self.warn(text)

    def failed(self, where: Where, error: MirrorsyncError) -> None:  # noqa: ARG002 -- the error names the place
        """Write the error and its hint."""
        self.warn(f"{error}. {error.hint}" if error.hint else str(error))

    def _progress(self) -> None:
        now = time.monotonic()
        if now - self._wrote_at >= _PROGRESS_EVERY:
            self._wrote_at = now
            self._write(f"{self._done} projects done, {self._waiting} waiting, {self._bytes / 2**20:.1f} MiB fetched")

    def _write(self, *lines: str) -> None:
        for line in lines:
            sys.stderr.write(f"{printable(self._mask(line))}\n")
        sys.stderr.flush()
