"""The log of real processes for journald, a JSON collector and cron's mail."""

import json
import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from mirrorsync.errors import ExitCode
from tests.support.process.cli import PROGRAM, Operator, mirrorsync
from tests.support.process.launch import environment, wait_until
from tests.support.process.servers import repeating_proxy
from tests.support.pypi.faults import Status
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

_SECRET: Final = "Zs3cr3t-Wort"  # noqa: S105 -- not a real password


class Journal:
    """Reads the log of a process."""

    def __init__(self, reading: socket.socket) -> None:
        self._output = b""
        self._thread = threading.Thread(target=self._read, args=(reading,), daemon=True)
        self._thread.start()

    def _read(self, reading: socket.socket) -> None:
        with reading:
            while piece := reading.recv(65536):
                self._output += piece

    def close(self) -> None:
        """Wait until the whole log is read."""
        self._thread.join(20)

    @property
    def lines(self) -> list[str]:
        return self._output.decode().splitlines()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    def find(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        return [one for one in self.events if one["event"] == event and fields.items() <= one.items()]


@contextmanager
def logging(operator: Operator, *words: str, is_journal: bool) -> Iterator[tuple[subprocess.Popen[bytes], Journal]]:
    """Run a command with a socket as its standard error, as systemd does; it is killed at the end."""
    reading, writing = socket.socketpair()
    place = os.fstat(writing.fileno())
    stream = {"JOURNAL_STREAM": f"{place.st_dev}:{place.st_ino}"} if is_journal else {}
    command = [str(PROGRAM), *words, "--config", str(operator.config)]
    variables = environment(**stream)
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=writing.fileno(), stderr=writing.fileno(), cwd="/", env=variables
    ) as process:
        writing.close()
        journal = Journal(reading)
        try:
            yield process, journal
        finally:
            process.kill()
            process.wait()
            journal.close()


def stopped(process: subprocess.Popen[bytes], journal: Journal) -> int:
    process.terminate()
    code = process.wait(20)
    journal.close()
    return code


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Journal, int, Operator]]:
    """A daemon with a failing project that is retried, and an upstream with an outage."""
    world = World()
    for name in ("alpha", "poisoned", "omega"):
        world.upload(name, "1.0")
    with PyPI(world) as pypi:
        pypi.faults.add(r"/poisoned-.*whl$", Status(404))
        operator = Operator(tmp_path_factory.mktemp("followed"), pypi)
        with logging(operator, "run", "--log-format", "json", is_journal=False) as (process, journal):
            wait_until(lambda: operator.serves("omega") and journal.find("project failed"), "the first pass")
            for count in (2, 3):
                operator.does("project", "retry", "poisoned")
                wait_until(lambda count=count: len(pypi.seen("/poisoned-.*whl$")) >= count, "another attempt")  # type: ignore[misc] # bound as a default
            pypi.faults.add(r"^/pypi", Status(403, media_type="text/html"))
            before = len(pypi.seen("^/pypi"))
            wait_until(lambda: len(pypi.seen("^/pypi")) >= before + 2, "two failed polls", seconds=40)
            pypi.faults.clear()
            operator.does("project", "retry", "poisoned")
            wait_until(lambda: operator.serves("poisoned"), "the failing project is served")
            wait_until(lambda: journal.find("trouble is over"), "upstream is back", seconds=40)
            code = stopped(process, journal)
        yield journal, code, operator


def test_json_log_lines_are_objects_with_time_level_and_event(
    followed: tuple[Journal, int, Operator],
) -> None:
    journal, code, _ = followed
    assert code == ExitCode.OK
    for event in journal.events:
        assert list(event)[:3] == ["time", "level", "event"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["time"])
        assert event["level"] in {"info", "warning"}


def test_daemon_logs_its_start_and_its_end_with_totals(followed: tuple[Journal, int, Operator]) -> None:
    journal, _, operator = followed
    first, last = journal.events[0], journal.events[-1]
    assert first["event"] == "run started"
    assert first["directory"] == str(operator.directory)
    assert first["upstream"] == operator.pypi.url
    assert last["event"] == "run ended"
    assert (last["projects"], last["files"], last["errors"]) == (3, 3, 3)
    assert last["serial"] == operator.status()["synced_serial"]
    assert last["bytes"] > 0
    assert last["seconds"] > 0


def test_failing_project_is_logged_once_and_once_more_on_recovery(
    followed: tuple[Journal, int, Operator],
) -> None:
    journal, _, _ = followed
    (failed,) = journal.find("project failed")
    assert (failed["project"], failed["level"]) == ("poisoned", "warning")
    assert "HTTP 404" in failed["reason"]
    assert failed["hint"]
    (recovered,) = journal.find("project recovered")
    assert recovered["attempts"] == 3


def test_upstream_outage_gives_two_log_lines(followed: tuple[Journal, int, Operator]) -> None:
    journal, _, _ = followed
    (began,) = journal.find("trouble")
    (over,) = journal.find("trouble is over")
    assert began["where"] == over["where"] == "upstream"
    assert "HTTP 403" in began["reason"]
    assert over["count"] >= 2


def test_files_have_no_log_lines(followed: tuple[Journal, int, Operator]) -> None:
    journal, _, _ = followed
    assert len(journal.lines) <= 7
    assert not [line for line in journal.lines if "alpha" in line]


def test_log_lines_under_systemd_have_priorities_and_no_times(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    world.upload("poisoned", "1.0")
    pypi.faults.add(r"/poisoned-.*whl$", Status(404))
    operator = Operator(tmp_path, pypi)
    with logging(operator, "sync", is_journal=True) as (process, journal):
        assert process.wait(20) == ExitCode.UNMET
    journal.close()
    assert [line[:3] for line in journal.lines] == ["<6>", "<4>", "<6>", "<4>"]
    assert journal.lines[1].startswith("<4>poisoned: ")
    assert journal.lines[2].startswith("<6>sync ended: 1 project mirrored, 1 file fetched (")
    assert journal.lines[3].startswith("<4>1 project unmet; hint: ")


def test_halted_run_logs_its_reason_with_an_error_priority(tmp_path: Path, pypi: PyPI) -> None:
    operator = Operator(tmp_path, pypi)
    operator.directory.rmdir()
    with logging(operator, "run", is_journal=True) as (process, journal):
        assert process.wait(20) == ExitCode.CANNOT_WRITE
    journal.close()
    assert journal.lines[-1].startswith(f"<3>[mirror] directory {operator.directory} does not exist")


def test_invalid_configuration_is_logged_in_the_requested_format(tmp_path: Path) -> None:
    config = tmp_path / "mirrorsync.toml"
    config.write_text("[mirror]\n")
    result = mirrorsync("run", "--config", str(config), MIRRORSYNC_LOG_FORMAT="json")
    assert (result.code, result.out) == (ExitCode.CONFIG, "")
    event = json.loads(result.err)
    assert (event["level"], event["event"], event["exit_code"]) == ("error", "failed", ExitCode.CONFIG)
    assert "directory is missing" in event["reason"]


def test_log_level_hides_lower_levels(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    operator = Operator(tmp_path, pypi)
    result = operator.does("sync", "--log-level", "warning")
    assert result.err == ""
    assert result.out.startswith("1 project mirrored")


def test_log_lines_for_cron_have_times(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    result = Operator(tmp_path, pypi).does("sync")
    assert re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ sync(:| ended:) .*\n){2}", result.err)


@pytest.mark.parametrize(("scheme", "format_"), [("http", "auto"), ("http", "json"), ("https", "text")])
def test_proxy_password_is_in_no_output(tmp_path: Path, scheme: str, format_: str) -> None:
    with repeating_proxy(_SECRET) as port, PyPI(World()) as pypi:
        operator = Operator(tmp_path, pypi, upstream={"proxy": "credential:proxy", "connections": 1})
        operator.configure(upstream={"proxy": "credential:proxy", "index": pypi.url.replace("http:", f"{scheme}:")})
        (tmp_path / "proxy").write_text(f"http://user:{_SECRET}@127.0.0.1:{port}")
        words = ("sync", "--log-format", format_, "--log-level", "debug", "--config", str(operator.config))
        result = mirrorsync(*words, CREDENTIALS_DIRECTORY=str(tmp_path))
    assert result.code == ExitCode.UNAVAILABLE
    assert "Who is" in result.err
    assert _SECRET not in result.said
