"""The progress bar shows texts of others without control characters and secrets."""

from collections.abc import Callable

import pytest

from mirrorsync.errors import Unreachable
from mirrorsync.model.identity import project_name
from mirrorsync.model.outcome import Failed
from mirrorsync.observe.progress_bar import Bar
from mirrorsync.observe.run_observer import Lines, RunObserver

_SECRET = "hunter2"  # noqa: S105 - nobody's
_HOSTILE = f"HTTP 407 \x1b[2J\x07 no entry for {_SECRET}"


def hide(text: str) -> str:
    return text.replace(_SECRET, "***")


@pytest.mark.parametrize("audience", [Lines, Bar])
def test_a_failure_shows_no_control_characters_and_no_secret(
    audience: Callable[[Callable[[str], str]], RunObserver], capsys: pytest.CaptureFixture[str]
) -> None:
    with audience(hide) as told:
        told.ended(Failed(name=project_name("alpha"), error=_HOSTILE, hint=_HOSTILE, delay=None))
        told.failed("upstream", Unreachable(_HOSTILE, hint=_HOSTILE))
        told.warn(_HOSTILE)
    said = "".join(capsys.readouterr())
    assert said.count("no entry for") == 5
    assert said.count("***") == 5
    assert [mark for mark in (_SECRET, "\x1b", "\x07") if mark in said] == []
