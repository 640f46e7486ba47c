"""`mirrorsync run`: the daemon under a service manager."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from mirrorsync.errors import ExitCode
from tests.support.process.cli import Operator, result_of, terminate
from tests.support.process.launch import Result, wait_until
from tests.support.pypi.faults import Drip, Stall
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

_LARGE = b"z" * 3_000_000
"""Large enough to be written to a staging file during the download."""


def output_until(process: subprocess.Popen[str], words: str, seconds: float = 30.0) -> str:
    """Return the standard error of the process up to `words`."""
    assert process.stderr is not None
    output, end = "", time.monotonic() + seconds
    while words not in output:
        ready = select.select([process.stderr], [], [], end - time.monotonic())[0]
        assert ready, f"no {words!r} within {seconds:g} s; output so far: {output!r}"
        piece = os.read(process.stderr.fileno(), 65536).decode()
        assert piece, f"ended without {words!r}; output: {output!r}"
        output += piece
    return output


class Stopped(msgspec.Struct, frozen=True):
    """A daemon that received SIGTERM during a download and completed it."""

    operator: Operator
    end: Result


@pytest.fixture(scope="module", autouse=True)
def without_upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Operator, subprocess.Popen[str]]]:
    """A daemon that lost its upstream after a change; it retries in parallel with the tests."""
    world = World()
    world.upload("alpha", "1.0")
    with PyPI(world) as pypi:
        operator = Operator(tmp_path_factory.mktemp("without_upstream"), pypi)
        with operator.doing("run") as process:
            wait_until(lambda: operator.serves("alpha"), "the first project is served")
            world.upload("beta", "1.0")
            wait_until(lambda: operator.serves("beta"), "a change is served", seconds=5)
            pypi.stop()
            yield operator, process


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stopped]:
    world = World()
    world.upload("slow", "1.0", body=_LARGE)
    with PyPI(world) as pypi:
        pypi.faults.add(r"/slow-.*whl$", Drip(300_000, 0.1))
        operator = Operator(tmp_path_factory.mktemp("stopped"), pypi)
        with operator.doing("run") as process:
            wait_until(operator.staged, "the download has started")
            assert not operator.serves("slow")
            yield Stopped(operator, terminate(process))


def test_sigterm_completes_downloads_and_leaves_no_staging_file(stopped: Stopped) -> None:
    assert stopped.end.code == ExitCode.OK, stopped.end.said
    assert stopped.operator.staged() == []
    assert stopped.operator.serves("slow")
    assert stopped.operator.broken_links() == []


def test_project_completed_after_sigterm_is_in_the_root_index(stopped: Stopped) -> None:
    assert stopped.operator.problems() == []


def test_second_sigterm_ends_at_once_and_the_next_start_recovers(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("slow", "1.0", body=_LARGE)
    pypi.faults.add(r"/slow-.*whl$", Stall(2_500_000))
    operator = Operator(tmp_path, pypi)
    with operator.doing("run") as process:
        wait_until(operator.staged, "the download has started")
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert process.poll() is None
        began = time.monotonic()
        end = terminate(process)
        assert time.monotonic() - began < 5
    assert end.code == ExitCode.OK, end.said
    assert operator.staged() == []
    assert not operator.serves("slow")
    pypi.faults.clear()
    with operator.doing("run") as process:
        wait_until(lambda: operator.serves("slow"), "the second start serves the rest")
        assert terminate(process).code == ExitCode.OK
    assert operator.problems() == []


def test_after_kill_9_the_next_sync_completes(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("slow", "1.0", body=_LARGE)
    pypi.faults.add(r"/slow-.*whl$", Stall(2_500_000))
    operator = Operator(tmp_path, pypi)
    with operator.doing("run") as process:
        wait_until(operator.staged, "the download has started")
        process.kill()
        assert process.wait() == -signal.SIGKILL
        process.communicate()
    pypi.faults.clear()
    assert operator.does("sync").code == ExitCode.OK
    assert operator.staged() == []
    assert operator.problems() == []


def test_missing_directory_ends_with_one_clear_message(tmp_path: Path, pypi: PyPI) -> None:
    operator = Operator(tmp_path, pypi)
    operator.directory.rmdir()
    result = result_of(operator.begins("run"))
    assert result.code == ExitCode.CANNOT_WRITE
    assert f"error: [mirror] directory {operator.directory} does not exist" in result.err


def test_long_upstream_outage_is_reported_and_recovered_from(
    without_upstream: tuple[Operator, subprocess.Popen[str]],
) -> None:
    operator, process = without_upstream
    log = output_until(process, "no connection")
    assert "\x1b" not in log
    assert operator.broken_links() == []
    operator.pypi.world.upload("gamma", "1.0")
    operator.pypi.start()
    wait_until(lambda: operator.serves("gamma"), "a change is served after the outage")
    end = terminate(process)
    assert end.code == ExitCode.OK, end.said
    assert f"Z run: mirroring {operator.pypi.url} into {operator.directory}" in log
    assert operator.problems() == []
    assert operator.does("status").code == 0
