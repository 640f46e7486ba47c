"""The log of a run: a line for its start, its end and each trouble, never one for each file."""

import re
import time
from collections import OrderedDict
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, Self

import msgspec
from msgspec.structs import replace

from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.outcome import Failed, Mirrored, Outcome, Removed
from mirrorsync.observe.run_observer import Done, RunObserver, Where

if TYPE_CHECKING:
    from mirrorsync.model.identity import Serial

_FIRST_PROGRESS: Final = 30.0
"""Seconds until the first line of progress; each further one takes twice as long."""
_RAREST_PROGRESS: Final = 600.0
_REMIND: Final = 900.0
"""Seconds until a lasting trouble is logged again; twice as long each time."""
_RAREST_REMINDER: Final = 6 * 3600.0
_WINDOW: Final = 60.0
_IN_A_WINDOW: Final = 20
"""Lines of one kind in `_WINDOW` seconds; further ones are counted."""
_REMEMBERED: Final = 10_000
"""Failing projects that are remembered, so that each is logged once: a megabyte or two."""
_VOLATILE: Final = re.compile(r"\b[0-9a-f]{8,}\b|(?<!HTTP )(?<!\d)\d[\d.,:]*")
"""Numbers and digests, which differ at every attempt; an HTTP status is part of the reason."""
_REASON: Final = 500
"""Characters of a reason that are compared."""


class Say(Protocol):
    """Writes lines: `log.Log.say`."""

    def __call__(self, level: Literal["info", "warning", "error"], event: str, **fields: Any) -> None:
        """Write one line."""


class _Trouble(msgspec.Struct):
    since: float
    count: int
    """How often it occurred."""
    next_line: float
    """When the next line may be written."""
    pause: float
    lasts: bool = True
    is_logged: bool = False


class _FailingProject(msgspec.Struct, frozen=True):
    """A project that fails."""

    reason: int
    since: float
    attempts: int
    is_logged: bool


class _Work(msgspec.Struct, frozen=True):
    """What was done."""

    since: float
    projects: int = 0
    files: int = 0
    bytes: int = 0
    errors: int = 0

    def after(self, outcome: Outcome) -> "_Work":
        if isinstance(outcome, Failed):
            return replace(self, errors=self.errors + 1)
        new = sum(file.file_is_new for file in outcome.stored) if isinstance(outcome, Mirrored) else 0
        return replace(self, projects=self.projects + 1, files=self.files + new)

    def fields(self, now: float) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in ("projects", "files", "bytes", "errors")}
        return {**values, "seconds": round(now - self.since, 1)}


class _RateLimit:
    """Limits the lines of a kind in a window; further ones are counted, and the count is logged once."""

    def __init__(self, say: Say, clock: Callable[[], float]) -> None:
        self._say = say
        self._clock = clock
        self._kinds: dict[str, tuple[float, int]] = {}
        """By kind: when its window began, and its lines since then."""

    def allow(self, kind: str) -> bool:
        """Count one line; return whether it may be written."""
        self.log_left_out()
        since, count = self._kinds.get(kind, (self._clock(), 0))
        self._kinds[kind] = since, count + 1
        return count < _IN_A_WINDOW

    def log_left_out(self, *, at_end: bool = False) -> None:
        """Close the expired windows."""
        now = self._clock()
        for kind, (since, count) in list(self._kinds.items()):
            if at_end or now - since >= _WINDOW:
                del self._kinds[kind]
                if count > _IN_A_WINDOW:
                    self._say(
                        "warning", "left out", kind=kind, count=count - _IN_A_WINDOW, seconds=round(now - since, 1)
                    )


class LogLines(RunObserver):
    """Writes the log of a run. As a context it logs the start, and the end with what was done."""

    def __init__(self, say: Say, clock: Callable[[], float] = time.monotonic, **start: Any) -> None:
        """`start`: the fields of the first line; its `command` is in the last line, too."""
        self._say = say
        self._clock = clock
        self._start = start
        self._troubles: dict[Where, _Trouble] = {}
        self._failing: OrderedDict[str, _FailingProject] = OrderedDict()
        self._limit = _RateLimit(say, clock)
        self._waiting: int | None = None
        self._serial: Serial | None = None
        self._all = self._lately = _Work(clock())
        self._pause = _FIRST_PROGRESS

    def __enter__(self) -> Self:
        """Log the start."""
        self._say("info", "run started", **self._start)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Log what the run did, whether it succeeded or not."""
        self._limit.log_left_out(at_end=True)
        fields = self._all.fields(self._clock())
        self._say("info", "run ended", command=self._start.get("command", "run"), **fields, serial=self._serial)

    def queued(self, projects: int) -> None:
        """Remember the number for the line of progress."""
        self._waiting = projects

    def fetched(self, size: int) -> None:
        """Count bytes, including those of failed attempts."""
        self._all = replace(self._all, bytes=self._all.bytes + size)
        self._lately = replace(self._lately, bytes=self._lately.bytes + size)
        self._log_progress()

    def ended(self, outcome: Outcome) -> None:
        """Log a failure with a new reason, a recovery, and a removal."""
        self._all, self._lately = self._all.after(outcome), self._lately.after(outcome)
        if isinstance(outcome, Failed):
            self._log_failure(outcome)
        else:
            self._log_success(outcome)
        self._log_progress()

    def warn(self, text: str) -> None:
        """Log a warning."""
        self._say("warning", "notice", text=text)

    def info(self, text: str) -> None:
        """Log a notice."""
        self._say("info", "notice", text=text)

    def published(self, done: Done) -> None:
        """Remember the serial."""
        self._serial = done.serial
        self._limit.log_left_out()
        self._log_progress()

    def failed(self, where: Where, error: MirrorsyncError) -> None:
        """Log it once, and again ever more rarely while it lasts."""
        self._count_trouble(where, str(error), error.hint)

    def recovered(self, where: Where) -> None:
        """Log the end of a trouble that was logged."""
        trouble = self._troubles.get(where)
        if trouble is None or not trouble.lasts:
            return
        now = self._clock()
        trouble.lasts = False
        if trouble.is_logged:
            trouble.is_logged = False
            seconds = round(now - trouble.since, 1)
            self._say("info", "trouble is over", where=where, count=trouble.count, seconds=seconds)
            trouble.count = 0
        elif now > trouble.next_line:
            del self._troubles[where]

    def _count_trouble(self, where: Where, reason: str, hint: str) -> None:
        now = self._clock()
        trouble = self._troubles.get(where)
        if trouble is None or (not trouble.lasts and now >= trouble.next_line):
            trouble = self._troubles[where] = _Trouble(since=now, count=0, next_line=now, pause=_REMIND)
        elif not trouble.lasts:
            # It comes and goes: do not write another line before the pause after the first one ends.
            trouble.lasts = True
            trouble.since = trouble.since if trouble.count else now
        trouble.count += 1
        if now < trouble.next_line:
            return
        if trouble.is_logged:
            seconds, pause = round(now - trouble.since, 1), min(2 * trouble.pause, _RAREST_REMINDER)
            counts = {"count": trouble.count, "seconds": seconds}
            self._say("warning", "trouble goes on", where=where, reason=reason, hint=hint, **counts)
            trouble.pause = pause
        else:
            self._say("warning", "trouble", where=where, reason=reason, hint=hint)
        trouble.is_logged = True
        trouble.next_line = now + trouble.pause

    def _log_failure(self, outcome: Failed) -> None:
        if outcome.reason == "low_space":
            self._count_trouble("space", outcome.error, outcome.hint)
            return
        reason = hash(_VOLATILE.sub("#", outcome.error[:_REASON]))
        known = self._failing.get(outcome.name)
        if known is not None and known.reason == reason:
            self._failing[outcome.name] = replace(known, attempts=known.attempts + 1)
            return
        event = "removal held" if outcome.reason == "held" else "project failed"
        is_logged = self._limit.allow(event)
        since, attempts = (self._clock(), 0) if known is None else (known.since, known.attempts)
        self._failing[outcome.name] = _FailingProject(
            reason=reason,
            since=since,
            attempts=attempts + 1,
            is_logged=is_logged or (known is not None and known.is_logged),
        )
        self._failing.move_to_end(outcome.name)
        if len(self._failing) > _REMEMBERED:
            self._failing.popitem(last=False)
        if is_logged:
            fields = {"project": outcome.name, "reason": outcome.error, "hint": outcome.hint}
            self._say("warning", event, **fields, retry_seconds=outcome.delay)

    def _log_success(self, outcome: Outcome) -> None:
        self.recovered("projects")
        if isinstance(outcome, Mirrored) and outcome.bytes_fetched:
            self.recovered("space")
        known = self._failing.pop(outcome.name, None)
        if isinstance(outcome, Removed):
            if self._limit.allow("project removed"):
                self._say("info", "project removed", project=outcome.name, reason=outcome.reason)
        elif known is not None and known.is_logged and self._limit.allow("project recovered"):
            seconds = round(self._clock() - known.since, 1)
            self._say("info", "project recovered", project=outcome.name, attempts=known.attempts, seconds=seconds)

    def _log_progress(self) -> None:
        now, lately = self._clock(), self._lately
        if now - lately.since < self._pause or not (lately.projects or lately.bytes):
            return
        self._say("info", "progress", **lately.fields(now), waiting=self._waiting, serial=self._serial)
        self._lately = _Work(now)
        self._pause = min(2 * self._pause, _RAREST_PROGRESS)
