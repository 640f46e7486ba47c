"""The progress bar and plain lines show texts of others without control characters and secrets."""

import pytest

from mirrorsync.errors import Unreachable
from mirrorsync.model.identity import project_name
from mirrorsync.model.outcome import Failed
from mirrorsync.observe.progress_bar import ProgressBar
from mirrorsync.observe.run_observer import Lines

_SECRET = "hunter2"  # noqa: S105 - not a real secret
_HOSTILE = f"HTTP 407 \x1b[2J\x07 no entry for {_SECRET}"


def hide(text: str) -> str:
    return text.replace(_SECRET, "***")


def test_a_failure_shows_no_control_characters_and_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar(hide) as bar, Lines(hide) as lines:
        bar.ended(Failed(name=project_name("alpha"), error=_HOSTILE, hint=_HOSTILE, delay=None))
        for observer in (bar, lines):
            observer.failed("upstream", Unreachable(_HOSTILE, hint=_HOSTILE))
            observer.warn(_HOSTILE)
    written = "".join(capsys.readouterr())
    assert written.count("no entry for") == 8
    assert written.count("***") == 8
    assert [mark for mark in (_SECRET, "\x1b", "\x07") if mark in written] == []
