"""What a run says in the log: a line for its beginning, its end and each trouble, and never one for each file."""

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
"""Seconds until a trouble that lasts is told again; twice as long each time."""
_RAREST_REMINDER: Final = 6 * 3600.0
_WINDOW: Final = 60.0
_IN_A_WINDOW: Final = 20
"""Lines of one kind in so many seconds; the others are counted."""
_REMEMBERED: Final = 10_000
"""Projects whose trouble is remembered, so that it is told once: a megabyte or two."""
_VOLATILE: Final = re.compile(r"\b[0-9a-f]{8,}\b|(?<!HTTP )(?<!\d)\d[\d.,:]*")
"""Numbers and digests, which differ at every attempt; a status is another reason."""
_REASON: Final = 500
"""Characters of a reason that count."""


class Say(Protocol):
    """Where lines go: `log.Log.say`."""

    def __call__(self, level: Literal["info", "warning", "error"], event: str, **fields: Any) -> None:
        """Write one line."""


class _Trouble(msgspec.Struct):
    since: float
    heard: int
    """How often it was met."""
    next_line: float
    """No line before it."""
    pause: float
    lasts: bool = True
    is_told: bool = False


class _Ailing(msgspec.Struct, frozen=True):
    """A project that fails."""

    reason: int
    since: float
    attempts: int
    is_told: bool


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
        told = {name: getattr(self, name) for name in ("projects", "files", "bytes", "errors")}
        return {**told, "seconds": round(now - self.since, 1)}


class _Rations:
    """So many lines of a kind in a window; what is beyond is counted, and the count is told once."""

    def __init__(self, say: Say, clock: Callable[[], float]) -> None:
        self._say = say
        self._clock = clock
        self._kinds: dict[str, tuple[float, int]] = {}
        """By kind: when its window began, and how many lines it wanted since."""

    def allow(self, kind: str) -> bool:
        """Count one line, and tell whether it may be written."""
        self.tell_left_out()
        since, count = self._kinds.get(kind, (self._clock(), 0))
        self._kinds[kind] = since, count + 1
        return count < _IN_A_WINDOW

    def tell_left_out(self, *, at_end: bool = False) -> None:
        """Close the windows that are over."""
        now = self._clock()
        for kind, (since, count) in list(self._kinds.items()):
            if at_end or now - since >= _WINDOW:
                del self._kinds[kind]
                if count > _IN_A_WINDOW:
                    self._say(
                        "warning", "left out", kind=kind, count=count - _IN_A_WINDOW, seconds=round(now - since, 1)
                    )


class LogLines(RunObserver):
    """An audience that writes the log. As a context it tells the run's beginning, and its end with what was done."""

    def __init__(self, say: Say, clock: Callable[[], float] = time.monotonic, **told: Any) -> None:
        """`told`: what the line of the beginning says; its `command` also stands in the last line."""
        self._say = say
        self._clock = clock
        self._told = told
        self._troubles: dict[Where, _Trouble] = {}
        self._ailing: OrderedDict[str, _Ailing] = OrderedDict()
        self._rations = _Rations(say, clock)
        self._waiting: int | None = None
        self._serial: Serial | None = None
        self._all = self._lately = _Work(clock())
        self._pause = _FIRST_PROGRESS

    def __enter__(self) -> Self:
        """Tell that the run begins."""
        self._say("info", "run started", **self._told)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell what the run did, however it ended."""
        self._rations.tell_left_out(at_end=True)
        fields = self._all.fields(self._clock())
        self._say("info", "run ended", command=self._told.get("command", "run"), **fields, serial=self._serial)

    def awaits(self, projects: int) -> None:
        """Hear how many projects are waiting or under way."""
        self._waiting = projects

    def fetched(self, size: int) -> None:
        """Count bytes, those of failed attempts too."""
        self._all = replace(self._all, bytes=self._all.bytes + size)
        self._lately = replace(self._lately, bytes=self._lately.bytes + size)
        self._perhaps_tell_progress()

    def ended(self, outcome: Outcome) -> None:
        """Tell a failure when its reason is news, its end, and a removal."""
        self._all, self._lately = self._all.after(outcome), self._lately.after(outcome)
        if isinstance(outcome, Failed):
            self._tell_failure(outcome)
        else:
            self._tell_wellness(outcome)
        self._perhaps_tell_progress()

    def notes(self, text: str) -> None:
        """Tell it at once."""
        self._say("warning", "notice", text=text)

    def mentions(self, text: str) -> None:
        """Tell it at once."""
        self._say("info", "notice", text=text)

    def did(self, done: Done) -> None:
        """Remember the serial."""
        self._serial = done.serial
        self._rations.tell_left_out()
        self._perhaps_tell_progress()

    def troubled(self, where: Where, error: MirrorsyncError) -> None:
        """Tell it once, and again ever more rarely while it lasts."""
        self._meet(where, str(error), error.hint)

    def recovered(self, where: Where) -> None:
        """Tell that a trouble is over, if it was told."""
        trouble = self._troubles.get(where)
        if trouble is None or not trouble.lasts:
            return
        now = self._clock()
        trouble.lasts = False
        if trouble.is_told:
            trouble.is_told = False
            seconds = round(now - trouble.since, 1)
            self._say("info", "trouble is over", where=where, count=trouble.heard, seconds=seconds)
            trouble.heard = 0
        elif now > trouble.next_line:
            del self._troubles[where]

    def _meet(self, where: Where, reason: str, hint: str) -> None:
        now = self._clock()
        trouble = self._troubles.get(where)
        if trouble is None or (not trouble.lasts and now >= trouble.next_line):
            trouble = self._troubles[where] = _Trouble(since=now, heard=0, next_line=now, pause=_REMIND)
        elif not trouble.lasts:
            # It comes and goes: its next line waits until the pause after the first one is over.
            trouble.lasts = True
            trouble.since = trouble.since if trouble.heard else now
        trouble.heard += 1
        if now < trouble.next_line:
            return
        if trouble.is_told:
            seconds, pause = round(now - trouble.since, 1), min(2 * trouble.pause, _RAREST_REMINDER)
            told = {"count": trouble.heard, "seconds": seconds}
            self._say("warning", "trouble goes on", where=where, reason=reason, hint=hint, **told)
            trouble.pause = pause
        else:
            self._say("warning", "trouble", where=where, reason=reason, hint=hint)
        trouble.is_told = True
        trouble.next_line = now + trouble.pause

    def _tell_failure(self, outcome: Failed) -> None:
        if outcome.reason == "low_space":
            self._meet("space", outcome.error, outcome.hint)
            return
        reason = hash(_VOLATILE.sub("#", outcome.error[:_REASON]))
        known = self._ailing.get(outcome.name)
        if known is not None and known.reason == reason:
            self._ailing[outcome.name] = replace(known, attempts=known.attempts + 1)
            return
        event = "removal held" if outcome.reason == "held" else "project failed"
        is_told = self._rations.allow(event)
        since, attempts = (self._clock(), 0) if known is None else (known.since, known.attempts)
        self._ailing[outcome.name] = _Ailing(
            reason=reason, since=since, attempts=attempts + 1, is_told=is_told or (known is not None and known.is_told)
        )
        self._ailing.move_to_end(outcome.name)
        if len(self._ailing) > _REMEMBERED:
            self._ailing.popitem(last=False)
        if is_told:
            fields = {"project": outcome.name, "reason": outcome.error, "hint": outcome.hint}
            self._say("warning", event, **fields, retry_seconds=outcome.delay)

    def _tell_wellness(self, outcome: Outcome) -> None:
        self.recovered("projects")
        if isinstance(outcome, Mirrored) and outcome.bytes_fetched:
            self.recovered("space")
        known = self._ailing.pop(outcome.name, None)
        if isinstance(outcome, Removed):
            if self._rations.allow("project removed"):
                self._say("info", "project removed", project=outcome.name, reason=outcome.reason)
        elif known is not None and known.is_told and self._rations.allow("project recovered"):
            seconds = round(self._clock() - known.since, 1)
            self._say("info", "project recovered", project=outcome.name, attempts=known.attempts, seconds=seconds)

    def _perhaps_tell_progress(self) -> None:
        now, lately = self._clock(), self._lately
        if now - lately.since < self._pause or not (lately.projects or lately.bytes):
            return
        self._say("info", "progress", **lately.fields(now), waiting=self._waiting, serial=self._serial)
        self._lately = _Work(now)
        self._pause = min(2 * self._pause, _RAREST_PROGRESS)
