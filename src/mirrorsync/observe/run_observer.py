"""The observer of a run: what the pipeline reports, and the plain lines of a run without a log."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from types import TracebackType
from typing import Any, Literal, Self

import msgspec

from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.identity import Serial
from mirrorsync.model.outcome import Outcome
from mirrorsync.model.wording import printable


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


def unchanged(text: str) -> str:
    """Return `text`: the mask of a run without secrets."""
    return text


def _forwarded(name: str) -> Any:
    def forward(self: "RunObservers", *arguments: Any) -> None:
        for observer in self._observers:
            getattr(observer, name)(*arguments)

    return forward


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

    queued = _forwarded("queued")
    fetched = _forwarded("fetched")
    ended = _forwarded("ended")
    warn = _forwarded("warn")
    info = _forwarded("info")
    in_flight = _forwarded("in_flight")
    published = _forwarded("published")
    failed = _forwarded("failed")
    recovered = _forwarded("recovered")
    took = _forwarded("took")


class Lines(RunObserver):
    """Writes warnings and notices to standard error, for a run without a log; `mask` takes the secrets out of them."""

    def __init__(self, mask: Callable[[str], str] = unchanged) -> None:
        self._mask = mask

    def warn(self, text: str) -> None:
        """Write `text`."""
        sys.stderr.write(f"{printable(self._mask(text))}\n")
        sys.stderr.flush()

    def info(self, text: str) -> None:
        """Write `text`."""
        self.warn(text)

    def failed(self, where: Where, error: MirrorsyncError) -> None:  # noqa: ARG002 -- the error names the place
        """Write the error and its hint."""
        self.warn(f"{error}. {error.hint}" if error.hint else str(error))
