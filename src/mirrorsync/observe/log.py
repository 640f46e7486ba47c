"""The log: mirrorsync's events and the libraries' messages, in one format and without secrets."""

import logging
import os
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from types import TracebackType
from typing import Any, Final, Literal, TextIO

import msgspec

from mirrorsync.model.wording import printable
from mirrorsync.observe.events import sentence
from mirrorsync.observe.redaction import mask

LogFormat = Literal["auto", "text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

LONGEST: Final = 2_000
"""Characters of a line."""
_CAUSES: Final = 6
"""Exceptions of a chain that a line names."""
_PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""Source: sd-daemon(3)."""
_CHATTY: Final = ("httpx", "httpcore", "hpack", "asyncio")
"""Libraries that log each request: below a warning their messages do not belong here."""


class LineStyle(Enum):
    """How lines look."""

    TERMINAL = "terminal"
    """For a person: no time, hints on lines of their own."""
    JOURNAL = "journal"
    """A priority first, which journald removes; it records the time itself. Source: sd-daemon(3)."""
    TEXT = "text"
    """The time in UTC first."""
    JSON = "json"
    """An object a line."""

    @property
    def is_only_log(self) -> bool:
        """Whether the process writes nothing but the log, its final error included."""
        return self in {LineStyle.JOURNAL, LineStyle.JSON}


def shape_of(wanted: LogFormat, out: TextIO, environ: Mapping[str, str] = os.environ) -> LineStyle:
    """Return the shape for `out`.

    Under systemd $JOURNAL_STREAM holds device and inode of the journal's socket: systemd.exec(5).
    """
    if wanted == "json":
        return LineStyle.JSON
    try:
        status = os.fstat(out.fileno())
        place, is_terminal = f"{status.st_dev}:{status.st_ino}", out.isatty()
    except (OSError, ValueError):
        place, is_terminal = "", False
    if wanted == "auto" and place and environ.get("JOURNAL_STREAM") == place:
        return LineStyle.JOURNAL
    return LineStyle.TERMINAL if wanted == "auto" and is_terminal else LineStyle.TEXT


class Log:
    """The process's one log, made by `start`."""

    def __init__(self, shape: LineStyle, out: TextIO | None) -> None:
        self.shape = shape
        self._out = out
        self._secrets: frozenset[str] = frozenset()

    def say(self, level: LogLevel | Literal["critical"], event: str, **fields: Any) -> None:
        """Write one line, if `level` is enabled."""
        number = logging.getLevelNamesMapping()[level.upper()]
        logging.getLogger("mirrorsync").log(number, event, extra={"event_fields": fields})

    def hide(self, secrets: frozenset[str]) -> None:
        """Mask `secrets` in every later line."""
        self._secrets |= secrets

    def clean(self, text: str) -> str:
        """Return `text` on one line, without secrets and control characters."""
        return printable(mask(text, sorted(self._secrets, key=len, reverse=True)))

    def write(self, line: str) -> None:
        """Write `line`; ignore that its reader is gone."""
        out = self._out or sys.stderr
        try:
            out.write(f"{line}\n")
            out.flush()
        except (OSError, ValueError):
            pass

    def log_bug(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Log an exception that ends the process; for `sys.excepthook`."""
        lines = [
            self.clean(line)
            for piece in traceback.format_exception(kind, error, trace)
            for line in piece.rstrip("\n").split("\n")
        ]
        if self.shape is LineStyle.JSON:
            frames = traceback.extract_tb(leaf(error).__traceback__)
            place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
            self.say("critical", "bug", exception=error, place=place)
        for line in lines if self.shape is not LineStyle.JSON else ():
            self.write(f"<2>{line}" if self.shape is LineStyle.JOURNAL else line)

    def _cleaned(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.clean(chain(value) if isinstance(value, BaseException) else str(value))

    def line(self, record: logging.LogRecord) -> str:
        """Return the line of `record`: an event of `say`, or another logger's message as a notice."""
        fields: Mapping[str, Any] | None = getattr(record, "event_fields", None)
        event = record.getMessage()
        if fields is None:
            fields, event = {"text": event, "logger": record.name}, "notice"
            if record.exc_info and record.exc_info[1]:
                fields["exception"] = record.exc_info[1]
        level, event = record.levelname.lower(), self.clean(event)
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        shown = {self.clean(key): self._cleaned(value) for key, value in fields.items()}
        if self.shape is LineStyle.JSON:
            return _json({"time": time, "level": level, "event": event, **shown})
        hint = shown.pop("hint", None)
        text = sentence(event, shown)
        if self.shape is LineStyle.TERMINAL:
            return "\n".join(_short(line, LONGEST) for line in (text, f"  hint: {hint}" if hint else "") if line)
        text = f"{text}; hint: {hint}" if hint else text
        if self.shape is LineStyle.JOURNAL:
            return _short(f"<{_PRIORITIES.get(level, 6)}>{text}", LONGEST)
        word = "" if level == "info" else f"{level}: "
        return _short(f"{time[:19]}Z {word}{text}", LONGEST)


def start(
    wanted: LogFormat = "auto",
    level: LogLevel = "info",
    *,
    out: TextIO | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Log:
    """Set up the process's log on `out` (standard error); `logging`, warnings and uncaught exceptions lead there.

    Libraries are logged from warnings up, mirrorsync from `level` up.
    """
    log = Log(shape_of(wanted, out or sys.stderr, environ), out)
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.raiseExceptions = False  # Python would report a line that cannot be written
    logging.basicConfig(handlers=[_Handler(log)], level=max(number, logging.WARNING), force=True)
    logging.getLogger("mirrorsync").setLevel(number)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    logging.captureWarnings(capture=True)
    sys.excepthook = log.log_bug
    return log


def chain(error: BaseException) -> str:
    """Return an exception and its causes on one line, the last one first; a group counts as its first exception."""
    names: list[str] = []
    one: BaseException | None = leaf(error)
    while one is not None and len(names) < _CAUSES:
        names.append(f"{type(one).__name__}: {one}" if str(one) else type(one).__name__)
        cause = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        one = None if cause is None else leaf(cause)
    return "; caused by ".join(names)


def leaf(error: BaseException) -> BaseException:
    """Return the first exception that is not a group: nurseries wrap exceptions in groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class _Handler(logging.Handler):
    """Hands each formatted line to the log."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line; a line that cannot be formatted is lost."""
        try:
            line = self._log.line(record)
        except Exception:  # noqa: BLE001 -- a faulty message of a library must not end the process
            self.handleError(record)
        else:
            self._log.write(line)


def _short(text: str, longest: int) -> str:
    """Return `text` cut to `longest` characters, with its original length at the end."""
    if len(text) <= longest:
        return text
    end = f"… ({len(text)} characters)"
    return text[: max(longest - len(end), 0)] + end if len(end) < longest else text[:longest]


def _json(values: Mapping[str, Any]) -> str:
    """Encode `fields` in at most `LONGEST` characters; the longest texts are cut until it fits."""
    fields = dict(values)
    while len(line := msgspec.json.encode(fields).decode()) > LONGEST:
        texts = {key: len(value) for key, value in fields.items() if isinstance(value, str)}
        longest = max(texts, key=texts.__getitem__)
        fields[longest] = _short(fields[longest], texts[longest] // 2)
    return line
