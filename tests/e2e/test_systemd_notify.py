"""`mirrorsync run` with its service manager: real processes, a real notify socket, real signals."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from mirrorsync.errors import ExitCode
from tests.support.process.cli import Operator, result_of, start, terminate
from tests.support.process.launch import Result, Starvation, running, wait_until
from tests.support.process.servers import repeating_proxy
from tests.support.process.service_manager import Message, ServiceManager
from tests.support.pypi.faults import Drip, Status
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

_WATCHDOG: float = 1.2
"""Seconds."""


@contextmanager
def service(operator: Operator, manager: ServiceManager, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run the daemon like a unit of Type=notify with WatchdogSec=; it is killed at the end."""
    more = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": str(int(_WATCHDOG * 1e6)), **variables}
    with running(start("run", "--config", operator.config, **more)) as process:
        yield process


@pytest.fixture
def operator(tmp_path: Path, world: World, pypi: PyPI) -> Operator:
    world.upload("alpha", "1.0")
    return Operator(tmp_path / "site", pypi)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    with ServiceManager(tmp_path / "notify") as listening:
        yield listening


def pings(messages: list[Message]) -> list[Message]:
    return [message for message in messages if "WATCHDOG" in message.values]


class DaemonRun(msgspec.Struct, frozen=True):
    """The messages of a daemon that started, synced, idled, and received SIGTERM during a download."""

    ready: Message
    state_was_open: bool
    idle: list[Message]
    busy: list[Message]
    stopping: Message
    end: Result
    messages: list[Message]
    starved: float
    """Seconds for which the machine was too busy to run a thread."""


@pytest.fixture(scope="module")
def daemon_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonRun]:
    world = World()
    world.upload("alpha", "1.0")
    home = tmp_path_factory.mktemp("run")
    with PyPI(world) as pypi, ServiceManager(home / "notify") as manager:
        pypi.faults.add(r"/slow-.*whl$", Drip(40_000, 0.1))
        operator = Operator(home / "site", pypi)
        with service(operator, manager) as process:
            ready = manager.until("READY")
            state_was_open = (operator.directory / "state" / "mirrorsync.sqlite3").exists()
            manager.status("as upstream")
            with Starvation() as starvation:
                idle = manager.listen(1.5 * _WATCHDOG)
                world.upload("slow", "1.0", body=b"z" * 1_200_000)
                wait_until(operator.staged, "the download has started")
                busy = manager.listen(_WATCHDOG)
            process.send_signal(signal.SIGTERM)
            stopping = manager.until("STOPPING")
            end = result_of(process)
            yield DaemonRun(ready, state_was_open, idle, busy, stopping, end, manager.messages, starvation.longest)


def test_ready_is_sent_once_and_after_the_state_is_open(daemon_run: DaemonRun) -> None:
    assert daemon_run.state_was_open
    assert [message for message in daemon_run.messages if "READY" in message.values] == [daemon_run.ready]
    assert daemon_run.messages[0] is daemon_run.ready


def test_watchdog_pings_are_in_time_while_idle(daemon_run: DaemonRun) -> None:
    times = [message.at for message in pings(daemon_run.idle)]
    assert len(times) >= 3 - daemon_run.starved / (_WATCHDOG / 2)
    assert max((later - sooner for sooner, later in pairwise(times)), default=0.0) < _WATCHDOG + daemon_run.starved


def test_watchdog_pings_are_in_time_during_a_slow_download(daemon_run: DaemonRun) -> None:
    assert len(pings(daemon_run.busy)) >= 2 - daemon_run.starved / (_WATCHDOG / 2)


def test_status_line_has_serial_and_work_at_most_once_a_second(daemon_run: DaemonRun) -> None:
    found = [message for message in daemon_run.messages if set(message.values) == {"STATUS"}]
    texts = [message.values["STATUS"] for message in found]
    assert any(text.startswith("serial ") and text.endswith(", as upstream") for text in texts), texts
    assert any("1 under way" in text for text in texts), texts
    assert all(later.at - sooner.at > 0.99 for sooner, later in pairwise(found))
    assert all(sooner != later for sooner, later in pairwise(texts))


def test_sigterm_sends_stopping_first_and_exits_with_0(daemon_run: DaemonRun) -> None:
    assert daemon_run.stopping.values["STOPPING"] == "1"
    assert daemon_run.end.code == ExitCode.OK, daemon_run.end.said


def test_unwritable_directory_never_becomes_ready(operator: Operator, manager: ServiceManager) -> None:
    operator.directory.rmdir()
    with service(operator, manager) as process:
        assert process.wait(20) == ExitCode.CANNOT_WRITE
        process.communicate()
    assert manager.listen(0.2) == []


def test_invalid_configuration_changes_nothing_and_is_reported(operator: Operator, manager: ServiceManager) -> None:
    with service(operator, manager) as process:
        manager.until("READY")
        wait_until(lambda: operator.serves("alpha"), "the first project is served")
        operator.config.write_text(operator.config.read_text() + "\n[nonsense]\n")
        sent_at = time.monotonic_ns() // 1000
        process.send_signal(signal.SIGHUP)
        reloading = manager.until("RELOADING")
        assert sent_at <= int(reloading.values["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        manager.until("READY")
        operator.pypi.world.upload("beta", "1.0")
        wait_until(lambda: operator.serves("beta"), "a change is served under the old configuration")
        end = terminate(process)
    assert end.code == ExitCode.OK, end.said
    assert "nonsense" in end.said
    assert "the previous one stays in force" in end.said


def test_reload_applies_another_configuration_in_the_same_process(operator: Operator, manager: ServiceManager) -> None:
    with service(operator, manager) as process:
        manager.until("READY")
        wait_until(lambda: operator.serves("alpha"), "the first project is served")
        operator.configure(content={"gzip": True})
        process.send_signal(signal.SIGHUP)
        manager.until("RELOADING")
        manager.until("READY")
        sibling = operator.web / "simple" / "alpha" / "index.v1_json.gz"
        wait_until(sibling.exists, "the page has the sibling of the new configuration")
        assert process.poll() is None
        end = terminate(process)
    assert end.code == ExitCode.OK, end.said
    assert operator.broken_links() == []
    assert not [message for message in manager.messages if "STOPPING" in message.values]


def test_configuration_reverted_before_work_ends_is_never_applied(operator: Operator, manager: ServiceManager) -> None:
    operator.pypi.world.upload("slow", "1.0", body=b"x" * 60_000)
    operator.pypi.faults.add("/slow-1.0", Drip(2000, 0.1))
    with service(operator, manager) as process:
        manager.until("READY")
        wait_until(lambda: operator.pypi.seen("/slow-1.0"), "a download has started")
        for gzip in (True, False):
            operator.configure(content={"gzip": gzip})
            process.send_signal(signal.SIGHUP)
            manager.until("RELOADING")
            manager.listen(0.5)  # the configuration is read after that message
        manager.until("READY")
        wait_until(lambda: operator.serves("slow"), "the download is complete")
        end = terminate(process)
    assert end.code == ExitCode.OK, end.said
    assert "has not changed" not in end.said
    assert not list(operator.web.rglob("*.gz"))


def test_configuration_that_fails_to_open_restores_the_old_one(operator: Operator, manager: ServiceManager) -> None:
    with service(operator, manager) as process:
        manager.until("READY")
        operator.configure(mirror={"directory": str(operator.home / "not-mounted")})
        process.send_signal(signal.SIGHUP)
        manager.until("RELOADING")
        manager.until("READY")
        operator.pypi.world.upload("beta", "1.0")
        wait_until(lambda: operator.serves("beta"), "a change is served under the old configuration")
        end = terminate(process)
    assert end.code == ExitCode.OK, end.said
    assert "not-mounted" in end.said


def test_refused_reload_does_not_end_the_run(operator: Operator, manager: ServiceManager) -> None:
    operator.configure(upstream={"poll-interval": "1h"})
    with service(operator, manager) as process:
        manager.until("READY")
        wait_until(lambda: operator.serves("alpha"), "the first project is served")
        operator.configure(upstream={"poll-interval": "1h", "index": "http://127.0.0.1:1"})
        process.send_signal(signal.SIGHUP)
        manager.until("RELOADING")
        manager.until("READY")
        operator.configure(upstream={"poll-interval": "1h"})
        assert "halted" not in operator.does("status").out
        end = terminate(process)
    assert "this mirror was made from" in end.said


def test_sigusr1_polls_upstream_at_once(operator: Operator, manager: ServiceManager) -> None:
    operator.configure(upstream={"poll-interval": "1h"})
    with service(operator, manager) as process:
        manager.until("READY")
        wait_until(lambda: operator.serves("alpha"), "the first project is served")
        operator.pypi.world.upload("beta", "1.0")
        process.send_signal(signal.SIGUSR1)
        wait_until(lambda: operator.serves("beta"), "the change is served within 5 s", 10)
        assert terminate(process).code == ExitCode.OK


def test_abstract_notify_socket_gets_the_same_messages(operator: Operator) -> None:
    with ServiceManager(f"@mirrorsync-test-{os.getpid()}") as manager, service(operator, manager) as process:
        assert manager.until("READY").values["READY"] == "1"
        process.send_signal(signal.SIGTERM)
        manager.until("STOPPING")


def test_watchdog_of_another_process_gets_no_pings(operator: Operator, manager: ServiceManager) -> None:
    with service(operator, manager, WATCHDOG_PID="1"):
        manager.until("READY")
        assert pings(manager.listen(1.5)) == []


def test_missing_notify_socket_causes_no_delay(operator: Operator, tmp_path: Path) -> None:
    with ServiceManager(tmp_path / "gone") as manager:
        (tmp_path / "gone").unlink()
        with service(operator, manager) as process:
            wait_until(lambda: operator.serves("alpha"), "the first project is served")
            assert terminate(process).code == ExitCode.OK


def test_status_names_a_failing_upstream_and_watchdog_pings_continue(
    operator: Operator, manager: ServiceManager
) -> None:
    with service(operator, manager):
        manager.until("READY")
        manager.status("as upstream")
        operator.pypi.faults.add(r"/pypi$", Status(503, (("Retry-After", "3600"),)))
        status = manager.status("upstream fails")
        assert status.startswith(f"serial {operator.pypi.world.last_serial}; ")
        assert f"; upstream fails: POST {operator.pypi.url}/pypi" in status
        assert status.endswith("asked to wait 3600 s")
        assert pings(manager.listen(_WATCHDOG))


def test_status_never_contains_the_proxy_password(tmp_path: Path, operator: Operator, manager: ServiceManager) -> None:
    operator.configure(upstream={"proxy": "credential:proxy"})
    with repeating_proxy("hunter2") as port:
        (tmp_path / "proxy").write_text(f"http://user:hunter2@127.0.0.1:{port}")
        with service(operator, manager, CREDENTIALS_DIRECTORY=str(tmp_path)):
            assert "hunter2" not in manager.status("HTTP 407 Who is")
    assert "hunter2" not in str(manager.messages)
