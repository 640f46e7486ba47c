"""`mirrorsync status` for each kind of problem, for people and for monitoring."""

import json
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from mirrorsync.app.mirror_directory import state_path
from mirrorsync.errors import ExitCode
from tests.crash.disk import WITHOUT_OVERRIDE, small_disk
from tests.notify.standin import ConfiguredResponse, standing_in
from tests.support.process.cli import Operator, result_of, snapshot, terminate
from tests.support.process.launch import Result, wait_until
from tests.support.pypi.faults import Portal, Stale, Status
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

OK, WARNING, CRITICAL, UNKNOWN = range(4)
_HOUR, _DAY = 3600.0, 86_400.0
_FIGURE: Final = re.compile(r"'?[a-z_]+'?=(U|-?[0-9.]+)(s|B)?(;[0-9:.]*){0,4}")
"""Source: Monitoring Plugins Development Guidelines, "Performance data"."""
_KEYS: Final = "synced_serial newest_serial upstream_serial lag_seconds projects files bytes unmet last_sync version"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """A complete mirror of three projects."""
    world = World()
    for name in ("alpha", "beta", "gamma"):
        world.upload(name, "1.0", body=b"x" * 20_000)
    with PyPI(world) as pypi:
        found = Operator(tmp_path_factory.mktemp("first"), pypi)
        assert found.does("sync").code == OK
        yield found


@pytest.fixture
def operator(tmp_path: Path, first: Operator) -> Operator:
    """A copy of the complete mirror for one test."""
    copied = Operator(tmp_path, first.pypi)
    shutil.copytree(first.directory, copied.directory, dirs_exist_ok=True)
    return copied


@pytest.fixture
def syncing(tmp_path: Path, world: World, pypi: PyPI) -> Operator:
    """A mirror with its own upstream."""
    for name in ("alpha", "beta", "gamma"):
        world.upload(name, "1.0")
    made = Operator(tmp_path, pypi)
    assert made.does("sync").code == OK
    return made


def state(operator: Operator) -> Path:
    return state_path(operator.directory)


def pass_time(operator: Operator, seconds: float) -> None:
    """Move all recorded times back by `seconds`."""
    with closing(sqlite3.connect(state(operator))) as connection, connection:
        connection.execute("UPDATE mirror SET polled_at = polled_at - ?1, complete_at = complete_at - ?1", (seconds,))
        connection.execute("UPDATE run SET started_at = started_at - ?1, ended_at = ended_at - ?1", (seconds,))
        connection.execute(
            "UPDATE project SET failing_since = failing_since - ?1, stale_since = stale_since - ?1", (seconds,)
        )


def status_output(operator: Operator, code: int, *arguments: str) -> str:
    """Check the exit status, its name in the first line and the empty stderr; return stdout."""
    found = operator.does("status", *arguments)
    assert found.code == code, found.said
    assert found.out.startswith(f"MIRRORSYNC {('OK', 'WARNING', 'CRITICAL', 'UNKNOWN')[code]} - ")
    assert found.err == ""
    return found.out


def document(found: Result) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(found.out)
    assert set(_KEYS.split()) <= set(read)
    assert read["state"] == ("ok", "warning", "critical", "unknown")[found.code]
    assert bool(read["reasons"]) == bool(found.code)
    return read


def test_healthy_mirror_has_one_line_and_a_full_report(operator: Operator) -> None:
    before = snapshot(operator.directory)
    shown = status_output(operator, OK)
    assert re.match(r"MIRRORSYNC OK - as upstream was .+ s ago, synced to serial \d+, 3 projects, 3 files \(", shown)
    assert re.search(r"^at work +nothing: neither a daemon nor a sync is running$", shown, re.MULTILINE)
    assert re.search(r"^disk +.* free on the disk of .*; downloads go on \(min-free 0 B\)$", shown, re.MULTILINE)
    assert re.search(r"^disk full +no forecast: not enough history$", shown, re.MULTILINE)
    assert snapshot(operator.directory) == before


def test_monitoring_gets_one_line_with_performance_data(operator: Operator) -> None:
    (line,) = status_output(operator, OK, "--perfdata", "--warn-lag", "90m").splitlines()
    figures = line.partition(" | ")[2].split()
    assert all(_FIGURE.fullmatch(figure) for figure in figures), figures
    assert figures[0].endswith("s;5400;86400;0")
    assert {"unmet=0;;;0", "failing=0;;;0", "projects=3;;;0"} <= set(figures)


def test_json_has_the_judgement_and_its_facts(operator: Operator) -> None:
    found = document(operator.does("status", "--json"))
    assert (found["state"], found["lag_serials"], found["at_work"], found["forecast"]) == ("ok", 0, False, None)
    assert found["disks"][0]["free"] > 0
    assert found["runs"][0]["files"] == 3


@pytest.mark.parametrize(
    ("age", "limits", "code"),
    [
        (2 * _HOUR, (), WARNING),
        (2 * _HOUR, ("--warn-lag", "3h"), OK),
        (2 * _HOUR, ("--critical-lag", "1h30m"), CRITICAL),
        (2 * _DAY, (), CRITICAL),
        (2 * _DAY, ("--warn-lag", "1h", "--critical-lag", "3d"), WARNING),
    ],
)
def test_lag_is_judged_by_the_given_limits(operator: Operator, age: float, limits: tuple[str, ...], code: int) -> None:
    pass_time(operator, age)
    shown = status_output(operator, code, *limits)
    if code:
        assert "behind upstream; neither a daemon nor a sync is running" in shown.splitlines()[0]
        assert "hint: `systemctl status mirrorsync`" in shown


@pytest.mark.parametrize("limits", [("--warn-lag", "soon"), ("--warn-lag", "2d"), ("--critical-lag", "-1h")])
def test_inconsistent_limits_are_unknown_for_monitoring(operator: Operator, limits: tuple[str, ...]) -> None:
    found = operator.does("status", *limits)
    assert found.code == UNKNOWN, found.said
    assert limits[0] in found.err


def test_unreachable_upstream_differs_from_a_dead_daemon(syncing: Operator) -> None:
    syncing.pypi.stop()
    pass_time(syncing, 2 * _HOUR)
    with syncing.doing("run") as daemon:
        wait_until(lambda: document(syncing.does("status", "--json"))["at_work"], "the daemon holds the lock")
        shown = status_output(syncing, WARNING)
        assert "2 h behind upstream; upstream has not answered for 2 h; a daemon or a sync is running" in shown
        assert f"process {daemon.pid}, but upstream does not answer it" in shown
        daemon.kill()
        daemon.communicate()
    assert "2 h behind upstream; neither a daemon nor a sync is running" in status_output(syncing, WARNING)


def test_failed_sync_is_reported_once_the_lag_is_too_large(syncing: Operator) -> None:
    syncing.pypi.faults.add("", Portal())  # a failure that is not retried at once
    pass_time(syncing, 2 * _DAY)
    assert syncing.does("sync").code == 69
    assert re.search("2 d behind upstream; the last run was halted: .*html", status_output(syncing, CRITICAL))


def test_one_failing_project_stays_a_warning_with_a_next_attempt(syncing: Operator) -> None:
    syncing.pypi.faults.add(r"/gamma-2.0.*whl$", Status(404))
    syncing.pypi.world.upload("gamma", "2.0")
    assert syncing.does("sync").code == 1
    shown = status_output(syncing, WARNING)
    assert "1 project cannot be mirrored: gamma (GET http" in shown.splitlines()[0]
    assert re.search(r"^gamma: wanted \d+, mirrored at \d+, 1 attempt, again in .+; failing", shown, re.MULTILINE)
    pass_time(syncing, 9 * _DAY)
    assert syncing.does("sync").code == 1
    shown = status_output(syncing, WARNING)
    assert re.search(r"^lag +[\d.]+ s, but for 1 failing project \(9 d since all was complete\)$", shown, re.MULTILINE)


def test_stale_page_is_a_warning_once_it_lasts(syncing: Operator) -> None:
    syncing.pypi.world.upload("beta", "2.0")
    syncing.pypi.faults.add(r"/simple/beta/", Stale())
    with syncing.doing("run") as daemon:
        wait_until(lambda: "1 attempt," in syncing.does("status").out, "it was requested once")
        shown = status_output(syncing, OK)
        assert "but for 1 page that a cache in front of upstream holds back" in shown.splitlines()[0]
        terminate(daemon)
    with closing(sqlite3.connect(state(syncing))) as connection, connection:
        connection.execute("UPDATE project SET stale_since = stale_since - 7200 WHERE stale_since IS NOT NULL")
    assert "a cache in front of upstream has held 1 page back for 2 h" in status_output(syncing, WARNING)


def test_cache_that_refuses_notifications_is_a_warning_until_it_accepts(syncing: Operator) -> None:
    with standing_in() as cache:
        cache.response = ConfiguredResponse(status=403)
        syncing.configure(purge={"caches": [cache.url]})
        for attempt in range(1, 5):
            syncing.pypi.world.upload("beta", f"{attempt}.1")
            assert syncing.does("sync").code == OK
            with closing(sqlite3.connect(state(syncing))) as connection, connection:
                connection.execute("UPDATE sink SET next_attempt_at = 0")
            first = status_output(syncing, WARNING if attempt == 4 else OK).splitlines()[0]
            assert ("cannot be notified of changes (last success: never): answers 403" in first) == (attempt == 4)
        (sink,) = document(syncing.does("status", "--json"))["sinks"]
        assert sink["attempts"] == 4
        # Not "403" alone: a time stamp or a port may contain these digits.
        public = (syncing.web / "mirrorsync/status.json").read_text()
        assert sink["last_error"] not in public
        assert "answers 403" not in public
        assert sink["name"] not in public
        cache.response = ConfiguredResponse()
        assert syncing.does("sync").code == OK
        assert re.search(r"^notified +varnish .*: .* ago", status_output(syncing, OK), re.MULTILINE)


def test_full_disk_is_critical_and_low_disk_defers_downloads(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0", body=b"x" * 300_000)
    operator = Operator(tmp_path, pypi)
    with small_disk(operator.directory, "size=8m") as disk:
        assert operator.does("sync").code == OK
        ballast = disk.fill(leaving=0)
        world.upload("alpha", "2.0", body=b"x" * 300_000)
        assert operator.does("sync").code == 73
        shown = status_output(operator, CRITICAL)
        assert f"the disk of {operator.web} is full (0 B free)" in shown
        assert "hint: free space" in shown
        ballast.unlink()
        operator.configure(limits={"min-free": "7900 KiB"})
        assert "downloads wait for room: " in status_output(operator, CRITICAL).splitlines()[0]


def test_mirror_of_another_index_reports_why_the_last_run_halted(operator: Operator) -> None:
    operator.configure(upstream={"index": "http://another.test"})
    assert operator.does("sync").code == 78
    assert "the last run was halted: this mirror was made from http://127.0.0.1" in status_output(operator, CRITICAL)
    operator.configure()
    assert operator.does("sync").code == OK
    status_output(operator, OK)


def test_reason_of_the_daemons_end_is_reported(syncing: Operator) -> None:
    with closing(sqlite3.connect(state(syncing))) as connection, connection:
        connection.execute("UPDATE mirror SET ingested_serial = 1000000")
    result_of(syncing.begins("run"))
    assert "the last run was halted: upstream's newest serial is" in status_output(syncing, CRITICAL)


@contextmanager
def locked(operator: Operator) -> Iterator[None]:
    """Lock the state."""
    with closing(sqlite3.connect(state(operator), isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("UPDATE mirror SET files = files")
        yield
        connection.execute("ROLLBACK")


def test_locked_state_is_reported_within_two_seconds(operator: Operator) -> None:
    with locked(operator):
        began = time.monotonic()
        shown = status_output(operator, UNKNOWN)
        assert time.monotonic() - began < 2
        assert f"the state {state(operator)} is locked by another program" in shown
        assert "hint: " in shown
        document(operator.does("status", "--json"))
    status_output(operator, OK)


def test_open_transaction_hides_nothing(operator: Operator) -> None:
    with closing(sqlite3.connect(state(operator), isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("UPDATE mirror SET files = 99")
        assert " 3 files" in status_output(operator, OK)
        connection.execute("ROLLBACK")


def _garbage(path: Path) -> None:
    path.write_bytes(b"garbage " * 4096)


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _one_page(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4096])


def _no_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE mirror")


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def _impossible(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE mirror SET polled_at = 9e99")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _never_synced(path: Path) -> None:
    shutil.rmtree(path.parent)
    shutil.rmtree(path.parent.parent / "web")


def _unmounted(path: Path) -> None:
    shutil.rmtree(path.parent.parent)


_DAMAGES: Final[dict[str, tuple[Callable[[Path], None], int, str, str]]] = {
    "garbage": (_garbage, CRITICAL, "is damaged: file is not a database", "restore it from a backup"),
    "half of it": (_half, CRITICAL, "is damaged", "restore it from a backup"),
    "one page of it": (_one_page, CRITICAL, "is damaged", "restore it from a backup"),
    "no table": (_no_table, CRITICAL, "is damaged: no such table: mirror", "restore it from a backup"),
    "impossible values": (_impossible, CRITICAL, "is damaged", "restore it from a backup"),
    "a newer schema": (_newer, UNKNOWN, "the state has schema 99", "install that version again"),
    "empty": (_empty, UNKNOWN, "no mirror yet", "run `mirrorsync sync` to create it"),
    "absent": (_never_synced, UNKNOWN, "no mirror yet", "run `mirrorsync sync` to create it"),
    "lost": (
        Path.unlink,
        CRITICAL,
        "web holds a tree, but the",
        "restore state/ from a backup, or run",
    ),
    "no directory": (_unmounted, CRITICAL, "does not exist", "mount its disk"),
}
"""Damage to the state; the exit code of `status`, its message, and its hint."""


@pytest.mark.parametrize("kind", _DAMAGES)
def test_unreadable_state_gives_one_message_with_a_hint(operator: Operator, kind: str) -> None:
    damage, code, what, hint = _DAMAGES[kind]
    damage(state(operator))
    verdict, advice = status_output(operator, code).splitlines()
    assert what in verdict
    assert advice.startswith("hint: ")
    assert hint in advice
    assert document(operator.does("status", "--json"))["unmet"] == []


def test_state_without_its_log_is_read_as_it_was_before(operator: Operator) -> None:
    with closing(sqlite3.connect(state(operator), isolation_level=None)) as connection:
        connection.execute("UPDATE mirror SET files = 99")
        kept = operator.home / "kept.sqlite3"
        shutil.copyfile(state(operator), kept)
    shutil.copyfile(kept, state(operator))
    assert " 3 files" in status_output(operator, OK)


@pytest.mark.parametrize("place", ["state/mirrorsync.sqlite3", "state", ""])
def test_unreadable_state_of_another_user_is_unknown(operator: Operator, place: str) -> None:
    path = operator.directory / place
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        found = operator.does("status", under=WITHOUT_OVERRIDE)
    finally:
        path.chmod(mode)
    assert found.code == UNKNOWN, found.said
    verdict, advice = found.out.splitlines()
    assert str(state(operator)) in verdict
    assert advice.startswith("hint: ")


def test_dry_run_without_permission_to_read_the_state_is_refused(operator: Operator) -> None:
    path = state(operator).parent
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        found = operator.does("sync", "--dry-run", under=WITHOUT_OVERRIDE)
    finally:
        path.chmod(mode)
    assert found.code == ExitCode.CANNOT_WRITE
    assert "cannot be seen: Permission denied" in found.err


def test_invalid_configuration_is_unknown_with_a_reason(operator: Operator) -> None:
    operator.configure(upstream={"conections": 3})
    shown = status_output(operator, UNKNOWN)
    assert "'conections'" in shown.splitlines()[0]
    assert "did you mean connections?" in shown
