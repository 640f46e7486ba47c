"""Who watches a run, and what is told to whoever does. One line per trouble, never one per file."""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Literal, Self

import msgspec

from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.identity import Serial
from mirrorsync.model.outcome import Failed, Outcome, Removed
from mirrorsync.model.wording import printable

_EVERY: Final = 30.0
"""Seconds between two plain lines of progress."""


class Done(msgspec.Struct, frozen=True):
    """What was done since the last time that it was told."""

    projects: int
    """Projects brought up, confirmed or removed."""
    files: int
    """Files fetched."""
    bytes: int
    """Bytes fetched of files and sidecars."""
    errors: int
    """Attempts at projects that failed."""
    serial: Serial | None
    """Everything up to it is served; None while there is no such serial."""


Step = Literal["project", "commit", "poll", "root_index", "sweep"]
"""A timed step: handling a project, recording its outcome, polling upstream, writing the root index, deleting condemned
objects."""
Where = Literal["upstream", "projects", "root list", "removals", "space"]
"""What has a trouble that lasts: asking for changes, asking for any project, and so on."""


class RunObserver:
    """Whoever watches a run, as a context that ends with it. Called on the event loop; every call returns at once.

    Here nobody listens: others write down only what they hear.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hear that the run has ended, and of what."""

    def awaits(self, projects: int) -> None:
        """Hear how many projects are waiting or under way."""

    def fetched(self, size: int) -> None:
        """Hear of so many more bytes of files."""

    def ended(self, outcome: Outcome) -> None:
        """Hear how bringing up a project ended; the state knows it already."""

    def notes(self, text: str) -> None:
        """Hear something that an operator should know and that belongs to no one project."""

    def mentions(self, text: str) -> None:
        """Hear something that an operator may want to know, and that went as it should."""

    def did(self, done: Done) -> None:
        """Hear what was done since this was last called; the state knows it already."""

    def troubled(self, where: Where, error: MirrorsyncError) -> None:
        """Hear of a trouble that is no one project's, each time that it is met."""

    def recovered(self, where: Where) -> None:
        """Hear that what may have had a trouble goes well, each time that it does."""

    def took(self, step: Step, seconds: float) -> None:
        """Note that `step` ended, successfully or not, `seconds` after it began."""


def trouble(outcome: Failed) -> list[str]:
    """Return the lines that tell a failure."""
    hint = [f"  hint: {outcome.hint}"] if outcome.hint else []
    return [f"{outcome.name}: {outcome.error}", *hint]


def as_it_is(text: str) -> str:
    """Return `text`, in which there is nothing to hide."""
    return text


class RunObservers(RunObserver):
    """An audience made of several: each call goes to each, in the order given."""

    def __init__(self, *audiences: RunObserver) -> None:
        self._audiences = audiences
        self._entered = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as entered:
            for audience in self._audiences:
                entered.enter_context(audience)
            self._entered = entered.pop_all()  # all or none: one that cannot be entered takes the others out again
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered.__exit__(kind, error, trace)

    def awaits(self, projects: int) -> None:
        """Tell each."""
        for audience in self._audiences:
            audience.awaits(projects)

    def fetched(self, size: int) -> None:
        """Tell each."""
        for audience in self._audiences:
            audience.fetched(size)

    def ended(self, outcome: Outcome) -> None:
        """Tell each."""
        for audience in self._audiences:
            audience.ended(outcome)

    def notes(self, text: str) -> None:
        """Tell each."""
        for audience in self._audiences:
            audience.notes(text)

    def mentions(self, text: str) -> None:
        """Tell each."""
        for audience in self._audiences:
            audience.mentions(text)

    def did(self, done: Done) -> None:
        """Tell each."""
        for audience in self._audiences:
            audience.did(done)

    def troubled(self, where: Where, error: MirrorsyncError) -> None:
        """Tell each."""
        for audience in self._audiences:
            audience.troubled(where, error)

    def recovered(self, where: Where) -> None:
        """Tell each."""
        for audience in self._audiences:
            audience.recovered(where)

    def took(self, step: Step, seconds: float) -> None:
        """Tell each."""
        for audience in self._audiences:
            audience.took(step, seconds)


class Lines(RunObserver):
    """Plain lines, as they come, after `hide` has taken out of them what nobody may read."""

    def __init__(self, hide: Callable[[str], str] = as_it_is) -> None:
        self._hide = hide
        self._done = 0
        self._waiting = 0
        self._bytes = 0
        self._said_at = time.monotonic()

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
            self._say(*trouble(outcome))
        elif isinstance(outcome, Removed):
            self._say(f"{outcome.name}: {outcome.reason}")
        self._perhaps_say()

    def notes(self, text: str) -> None:
        """Tell it at once."""
        self._say(text)

    def mentions(self, text: str) -> None:
        """Tell it at once."""
        self.notes(text)

    def troubled(self, where: Where, error: MirrorsyncError) -> None:  # noqa: ARG002 -- the error says where
        """Tell it at once."""
        self.notes(f"{error}. {error.hint}" if error.hint else str(error))

    def _perhaps_say(self) -> None:
        now = time.monotonic()
        if now - self._said_at >= _EVERY:
            self._said_at = now
            self._say(f"{self._done} projects done, {self._waiting} waiting, {self._bytes / 2**20:.1f} MiB fetched")

    def _say(self, *lines: str) -> None:
        for line in lines:
            sys.stderr.write(f"{printable(self._hide(line))}\n")
        sys.stderr.flush()
