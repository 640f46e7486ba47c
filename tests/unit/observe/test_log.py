"""Every log line has one format and a bounded length, is printable and holds no secret."""

import io
import json
import logging
import os
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

import pytest

from mirrorsync.observe.log import LONGEST, LineStyle, Log, LogFormat, LogLevel, shape_of, start

_SECRET: Final = "Zs3cr3tZ"  # noqa: S105 -- a stand-in for one
_HOSTILE: Final = f"\x1b[2J\n<0>forged http://user:{_SECRET}@host.test/?sig={_SECRET} \u202e\x00\x85end"


class Written(io.StringIO):
    """A log's lines."""

    @property
    def lines(self) -> list[str]:
        return self.getvalue().split("\n")[:-1]


Begin = Callable[..., tuple[Log, Written]]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Start the process's log; remove it afterwards."""
    root, hook = logging.getLogger(), sys.excepthook
    before, level, raises = root.handlers[:], root.level, logging.raiseExceptions
    levels = {name: logging.getLogger(name).level for name in ("mirrorsync", "httpx", "httpcore", "hpack", "asyncio")}
    show = warnings.showwarning

    def started(
        wanted: LogFormat = "json", level: LogLevel = "info", shape: LineStyle | None = None
    ) -> tuple[Log, Written]:
        out = Written()
        log = start(wanted, level, out=out, environ={})
        if shape is not None:
            log.shape = shape
        return log, out

    yield started
    logging.captureWarnings(capture=False)
    root.handlers[:] = before
    root.setLevel(level)
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)
    sys.excepthook, logging.raiseExceptions, warnings.showwarning = hook, raises, show


def failure() -> Exception:
    """Return an exception whose cause's cause holds a secret, in a group as nurseries make them."""
    try:
        try:
            try:
                raise OSError(f"http://user:{_SECRET}@proxy.test refuses")  # noqa: TRY301 -- the test needs a chain of causes
            except OSError as error:
                raise ValueError("no valid response") from error
        except ValueError:
            raise RuntimeError("gave up\nthen") from ExceptionGroup("tasks", [OSError(f"token={_SECRET}")])
    except RuntimeError as error:
        return error


@pytest.mark.parametrize("shape", LineStyle)
def test_a_line_holds_no_control_characters_and_no_secret(begin: Begin, shape: LineStyle) -> None:
    log, out = begin(shape=shape)
    log.say("warning", "project failed", project=_HOSTILE, reason=_HOSTILE, hint=_HOSTILE, retry_seconds=None)
    log.say("warning", "notice", text=_HOSTILE)
    log.say("info", _HOSTILE, any=_HOSTILE)
    logging.getLogger("library").warning("%s", _HOSTILE)
    logging.getLogger("mirrorsync.here").error(_HOSTILE, exc_info=failure())
    assert len(out.lines) == 5 + (shape is LineStyle.TERMINAL)  # which prints the hint on a separate line
    assert out.getvalue().replace("\n", "").isprintable()
    assert _SECRET not in out.getvalue()
    assert not [line for line in out.lines if line.startswith("<0>")]


@pytest.mark.parametrize("shape", LineStyle)
def test_a_line_has_at_most_2000_characters(begin: Begin, shape: LineStyle) -> None:
    log, out = begin(shape=shape)
    for text in ("x" * 12_000, '"\\' * 6_000, "ü" * 12_000, "word " * 40_000):
        log.say("warning", "project failed", project="numpy", reason=text, hint=text, retry_seconds=1.0)
        logging.getLogger("library").warning(text)
    assert {len(line) <= LONGEST for line in out.lines} == {True}
    if shape is LineStyle.JSON:
        assert all(json.loads(line)["event"] in {"project failed", "notice"} for line in out.lines)


def test_json_lines_have_the_time_the_level_and_the_event_first(begin: Begin) -> None:
    log, out = begin()
    log.say("warning", "project failed", project="numpy", reason="HTTP 404", hint="", retry_seconds=60.0)
    line = json.loads(out.getvalue())
    assert list(line)[:3] == ["time", "level", "event"]
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "event": "project failed",
        "project": "numpy",
        "reason": "HTTP 404",
        "hint": "",
        "retry_seconds": 60.0,
    }


def test_messages_of_libraries_have_the_same_format(begin: Begin) -> None:
    _, out = begin()
    logging.getLogger("mirrorsync.store.filesystem").warning("%s has %d bytes free", "/srv", 5)
    logging.getLogger("library").error("it broke", exc_info=failure())
    first, second = map(json.loads, out.lines)
    assert (first["level"], first["event"], first["text"]) == ("warning", "notice", "/srv has 5 bytes free")
    assert first["logger"] == "mirrorsync.store.filesystem"
    assert second["exception"] == r"RuntimeError: gave up\nthen; caused by OSError: token ***"


def test_single_requests_are_not_logged(begin: Begin) -> None:
    _, out = begin(level="info")
    logging.getLogger("httpx").info("HTTP Request: GET http://index.test")
    logging.getLogger("library").info("a step")
    logging.getLogger("mirrorsync.store").info("removed 3 partial files")
    assert [json.loads(line)["text"] for line in out.lines] == ["removed 3 partial files"]


def test_below_the_level_nothing_is_written(begin: Begin) -> None:
    log, out = begin(level="error")
    log.say("warning", "notice", text="a warning")
    logging.getLogger("library").warning("a warning")
    log.say("error", "failed", reason="an error", hint="", exit_code=73)
    assert [json.loads(line)["event"] for line in out.lines] == ["failed"]


@pytest.mark.parametrize(("level", "priority"), [("info", 6), ("warning", 4), ("error", 3)])
def test_journald_gets_a_priority_and_no_time(begin: Begin, level: str, priority: int) -> None:
    log, out = begin(shape=LineStyle.JOURNAL)
    log.say(level, "notice", text="low space", hint="make room")  # type: ignore[arg-type] # a parameter's type is str
    assert out.lines == [f"<{priority}>low space; hint: make room"]


def test_text_has_the_time_and_the_level(begin: Begin) -> None:
    log, out = begin("text")
    log.say("info", "notice", text="all is well")
    log.say("error", "notice", text="it is not")
    first, second = out.lines
    assert first[19:] == "Z all is well"
    assert second[19:] == "Z error: it is not"


def test_a_bug_is_logged_in_the_logs_format_without_secrets(begin: Begin) -> None:
    error = failure()
    for shape in LineStyle:
        log, out = begin(shape=shape)
        log.log_bug(type(error), error, error.__traceback__)
        assert _SECRET not in out.getvalue()
        assert "RuntimeError" in out.getvalue()
        if shape is LineStyle.JOURNAL:
            assert {line[:3] for line in out.lines} == {"<2>"}
        if shape is LineStyle.JSON:
            line = json.loads(out.getvalue())
            assert (line["level"], line["event"]) == ("critical", "bug")
            assert "test_log.py:" in line["place"]


def test_a_configured_secret_is_masked_once_it_is_known(begin: Begin) -> None:
    log, out = begin()
    log.hide(frozenset({"correct horse"}))
    log.say("warning", "notice", text="the proxy says: correct horse!")
    assert "horse" not in out.getvalue()


def test_a_closed_log_stream_is_ignored(begin: Begin) -> None:
    log, out = begin()
    out.close()
    log.say("error", "notice", text="not read")
    reading, writing = os.pipe()
    os.close(reading)
    broken_pipe = os.fdopen(writing, "w")
    log._out = broken_pipe
    log.say("error", "notice", text="not read either")
    log._out = None
    with suppress(BrokenPipeError):
        broken_pipe.close()


def test_values_of_other_kinds_are_written_as_text(begin: Begin) -> None:
    log, out = begin()
    log.say("info", "notice", text=ValueError("x"), count=3, share=0.5, known=True, none=None, path=[1, "\n"])
    line: dict[str, Any] = json.loads(out.getvalue())
    assert line["text"] == "ValueError: x"
    assert (line["count"], line["share"], line["known"], line["none"]) == (3, 0.5, True, None)
    assert line["path"] == r"[1, '\n']"


def test_only_the_journals_own_stream_is_the_journal() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("w") as out:
        status = os.fstat(ours.fileno())
        place = f"{status.st_dev}:{status.st_ino}"
        assert shape_of("auto", out, {"JOURNAL_STREAM": place}) is LineStyle.JOURNAL
        assert shape_of("auto", out, {"JOURNAL_STREAM": f"{place}1"}) is LineStyle.TEXT
        assert shape_of("auto", out, {}) is LineStyle.TEXT
        assert shape_of("text", out, {"JOURNAL_STREAM": place}) is LineStyle.TEXT
        assert shape_of("json", out, {"JOURNAL_STREAM": place}) is LineStyle.JSON
    assert shape_of("auto", io.StringIO(), {"JOURNAL_STREAM": ""}) is LineStyle.TEXT


def test_a_terminal_gets_lines_for_a_person() -> None:
    _, terminal = os.openpty()
    with os.fdopen(terminal, "w") as out:
        assert shape_of("auto", out, {}) is LineStyle.TERMINAL
        assert shape_of("text", out, {}) is LineStyle.TEXT
