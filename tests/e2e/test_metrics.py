"""Monitoring of a real daemon by its listener and its textfile."""

import json
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from mirrorsync.app.mirror_directory import state_path
from mirrorsync.errors import ExitCode
from tests.support.process.cli import Operator, result_of, terminate
from tests.support.process.launch import free_port, wait_until
from tests.support.pypi.faults import DelayHeaders, Status
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

PROMTOOL = shutil.which("promtool")
_OPENMETRICS = {"accept": "application/openmetrics-text; version=1.0.0; q=0.9, text/plain; q=0.5"}


class Scraper:
    """A monitoring system that scrapes one daemon."""

    def __init__(self, operator: Operator, address: str, process: subprocess.Popen[str]) -> None:
        self.operator = operator
        self.process = process
        self.address = address

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(f"http://{self.address}{path}", headers=headers, timeout=10, trust_env=False)

    def has_status(self, path: str, status: int) -> bool:
        """Return whether the path has this status now; the listener may be absent, as during a reload."""
        try:
            return self.get(path).status_code == status
        except httpx.TransportError:
            return False

    def value(self, name: str, **labels: str) -> float | None:
        return values(self.get("/metrics").text).get((name, tuple(sorted(labels.items()))))


def values(text: str) -> Mapping[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }


@contextmanager
def watching(home: Path, pypi: PyPI, **metrics: Any) -> Iterator[Scraper]:
    address = f"127.0.0.1:{free_port()}"
    operator = Operator(home, pypi, metrics={"listen": address, **metrics})
    with operator.doing("run") as process:
        scraper = Scraper(operator, address, process)
        wait_until(lambda: scraper.has_status("/healthz", 200), "the listener answers")
        yield scraper
        end = terminate(process)
        assert end.code == ExitCode.OK, end.said
        assert "hypercorn" not in end.said


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraper]:
    """A daemon that serves one project while another one keeps failing."""
    world = World()
    world.upload("alpha", "1.0")
    home = tmp_path_factory.mktemp("watched")
    with PyPI(world) as pypi, watching(home, pypi, textfile=str(home / "mirrorsync.prom")) as scraper:
        wait_until(lambda: scraper.has_status("/readyz", 200), "the mirror is fresh")
        wait_until(lambda: scraper.value("mirrorsync_root_index_writes_total") == 1, "the root index is written")
        world.upload("poisoned", "1.0")
        pypi.faults.add(r"/poisoned-.*whl$", Status(404))
        wait_until(lambda: scraper.value("mirrorsync_unmet_projects", reason="missing") == 1, "one project is unmet")
        yield scraper


def test_both_formats_are_valid_and_count_the_daemons_work(watched: Scraper) -> None:
    text = watched.get("/metrics")
    form = watched.get("/metrics", **_OPENMETRICS)
    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert form.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert len(list(parse_openmetrics(form.text))) > 40  # type: ignore[no-untyped-call]  # not annotated by the library
    found = values(text.text)
    host = watched.operator.pypi.url.removeprefix("http://")
    assert found["mirrorsync_projects", ()] == 1
    assert found["mirrorsync_upstream_requests_total", (("code", "200"), ("host", host))] >= 4
    assert found["mirrorsync_upstream_received_bytes_total", (("code", "200"), ("host", host))] > 500
    assert found["mirrorsync_project_outcomes_total", (("outcome", "mirrored"),)] >= 1
    assert found["mirrorsync_step_duration_seconds_count", (("step", "poll"),)] >= 1
    assert found["mirrorsync_root_index_writes_total", ()] >= 1
    assert found["mirrorsync_disk_free_bytes", ()] > 0
    assert found["process_resident_memory_bytes", ()] > 1e7
    assert found["mirrorsync_unmet_projects", (("reason", "missing"),)] == 1
    assert found["mirrorsync_project_failures_total", (("reason", "missing"),)] >= 1


def test_metrics_agree_with_status(watched: Scraper) -> None:
    status = watched.operator.status()
    for key in ("projects", "files", "bytes", "synced_serial", "upstream_serial"):
        name = f"mirrorsync_{'stored_' if key in {'files', 'bytes'} else ''}{key}"
        assert watched.value(name) == status[key], name


def test_listener_has_three_paths_and_no_other(watched: Scraper) -> None:
    assert watched.get("/healthz").text == "alive\n"
    assert watched.get("/").status_code == 404
    assert "/metrics, /healthz, /readyz" in watched.get("/elsewhere").text
    refused = httpx.post(f"http://{watched.address}/metrics", trust_env=False)
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    head = httpx.head(f"http://{watched.address}/metrics", trust_env=False)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 5000


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here: apt-get install prometheus")
def test_promtool_accepts_the_metrics_of_a_daemon(watched: Scraper) -> None:
    text = watched.get("/metrics").content
    done = subprocess.run(
        [PROMTOOL or "", "check", "metrics"], input=text, capture_output=True, check=False, timeout=30
    )
    assert (done.returncode, (done.stdout + done.stderr).decode()) == (0, "")


def test_textfile_is_complete_and_readable_without_leftovers(watched: Scraper) -> None:
    path = watched.operator.home / "mirrorsync.prom"
    wait_until(lambda: 'reason="missing"} 1.0' in path.read_text(), "the textfile has the failing project")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    found = values(path.read_text())
    assert found["mirrorsync_projects", ()] == 1
    assert [name for name, _ in found if not name.startswith("mirrorsync_")] == []
    beside = {each.name for each in path.parent.iterdir() if "prom" in each.name}
    assert beside == {"mirrorsync.prom"}


def test_lagging_mirror_is_healthy_and_not_ready_with_a_reason(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    pypi.faults.add(r"/alpha-.*whl$", Status(404))
    with watching(tmp_path, pypi, **{"fresh-within": "1s"}) as scraper:
        assert scraper.get("/healthz").status_code == 200
        wait_until(lambda: scraper.value("mirrorsync_unmet_projects", reason="missing") == 1, "it was attempted")
        before = scraper.get("/readyz")
        why, status = before.text.splitlines()
        assert (before.status_code, why) == (503, "this mirror was never complete so far: 1 projects are unmet")
        assert status.startswith("MIRRORSYNC CRITICAL - never complete: 1 project to go")
        assert scraper.value("mirrorsync_lag_seconds") is None
        pypi.faults.clear()
        assert scraper.operator.does("project", "retry", "alpha").code == ExitCode.OK
        wait_until(lambda: scraper.has_status("/readyz", 200), "it is fresh")
        old, scraper.address = scraper.address, f"127.0.0.1:{free_port()}"
        scraper.operator.configure(metrics={"listen": scraper.address, "fresh-within": "1s"})
        scraper.process.send_signal(signal.SIGHUP)
        wait_until(lambda: scraper.has_status("/readyz", 200), "the new address answers after a reload")
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://{old}/healthz", trust_env=False)
        pypi.stop()
        wait_until(lambda: scraper.has_status("/readyz", 503), "it lags")
        assert "the limit is 1 s" in scraper.get("/readyz").text
        assert scraper.get("/healthz").status_code == 200


def test_one_failing_project_raises_the_lag_and_leaves_the_mirror_ready(
    tmp_path: Path, world: World, pypi: PyPI
) -> None:
    world.upload("alpha", "1.0")
    world.upload("beta", "1.0")
    with watching(tmp_path, pypi, **{"fresh-within": "5s"}) as scraper:
        wait_until(lambda: scraper.has_status("/readyz", 200), "the mirror is fresh")
        world.upload("poisoned", "1.0")
        pypi.faults.add(r"/poisoned-.*whl$", Status(404))
        wait_until(lambda: (scraper.value("mirrorsync_lag_seconds") or 0.0) > 6, "the mirror lags")
        assert scraper.value("mirrorsync_unmet_projects", reason="missing") == 1
        assert (scraper.value("mirrorsync_behind_seconds") or 99.0) < 5
        assert scraper.has_status("/readyz", 200)


def test_used_listen_address_exits_78_before_any_work(tmp_path: Path, pypi: PyPI) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        operator = Operator(tmp_path, pypi, metrics={"listen": address})
        end = operator.does("run")
    assert end.code == ExitCode.CONFIG
    assert f"[metrics] listen: {address} cannot be listened on" in end.said
    assert list(operator.directory.iterdir()) == []
    assert pypi.requests == []


def test_second_daemon_is_refused_by_the_lock_and_not_by_the_address(watched: Scraper) -> None:
    end = watched.operator.does("run")
    assert end.code == ExitCode.ALREADY_RUNNING
    assert "another mirrorsync (process" in end.said


def test_sync_writes_the_textfile_at_its_end_and_opens_no_listener(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    path = tmp_path / "metrics" / "mirrorsync.prom"
    path.parent.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        operator = Operator(tmp_path / "home", pypi, metrics={"listen": address, "textfile": str(path)})
        assert operator.does("sync").code == ExitCode.OK
    found = values(path.read_text())
    assert found["mirrorsync_projects", ()] == 1
    assert found["mirrorsync_halted", ()] == 0
    assert found["mirrorsync_fetched_files_total", ()] == 1
    assert [each.name for each in path.parent.iterdir()] == ["mirrorsync.prom"]


def test_long_pass_writes_the_textfile_without_delaying_its_end(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    pypi.faults.add(r"/alpha-.*whl$", DelayHeaders(6.0))
    path = tmp_path / "mirrorsync.prom"
    operator = Operator(tmp_path / "home", pypi, metrics={"textfile": str(path)})
    with operator.doing("sync") as process:
        wait_until(path.exists, "the textfile is written during the pass")
        assert values(path.read_text())["mirrorsync_projects", ()] == 0
        assert process.poll() is None
        wait_until(lambda: operator.serves("alpha"), "the project is served")
        wait_until(lambda: process.poll() is not None, "the pass has ended")
        assert result_of(process).code == ExitCode.OK
    assert values(path.read_text())["mirrorsync_projects", ()] == 1


def test_error_of_an_unmet_project_survives_a_restart(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    pypi.faults.add(r"^/packages/.*alpha", Status(404))
    path = tmp_path / "mirrorsync.prom"
    operator = Operator(tmp_path / "home", pypi, metrics={"textfile": str(path)})
    for attempts in (1, 0):  # the second pass comes before the retry is due
        assert operator.does("sync").code == ExitCode.UNMET
        found = values(path.read_text())
        assert found["mirrorsync_project_failures_total", (("reason", "missing"),)] == attempts
        assert found["mirrorsync_unmet_projects", (("reason", "missing"),)] == 1
        assert found["mirrorsync_unmet_projects", (("reason", "waiting"),)] == 0
    document = json.loads(operator.does("status", "--json").out)
    assert (document["unmet_by_reason"], document["unmet"][0]["reason"]) == ({"missing": 1}, "missing")
    pypi.faults.clear()
    assert operator.does("project", "retry", "alpha").code == operator.does("sync").code == ExitCode.OK
    assert values(path.read_text())["mirrorsync_unmet_projects", (("reason", "missing"),)] == 0


def test_refused_root_list_is_reported_until_one_is_accepted(tmp_path: Path, world: World, pypi: PyPI) -> None:
    for name in ("alpha", "beta", "gamma"):
        world.upload(name, "1.0")
    path = tmp_path / "mirrorsync.prom"
    operator = Operator(tmp_path / "home", pypi)

    def refused(list_interval: str) -> bool:
        operator.configure(metrics={"textfile": str(path)}, audit={"list-interval": list_interval})
        assert operator.does("sync").code == ExitCode.OK
        status = operator.does("status")
        reported = "the root list names 1 projects, this mirror serves 3" in status.out
        assert status.code == reported  # a warning
        assert values(path.read_text())["mirrorsync_trouble", (("at", "root_list"),)] == reported
        return reported

    assert not refused("1d")
    pypi.truncate_root(1)
    assert refused("1ms")
    assert refused("1d")  # this process does not read the list
    pypi.release_root()
    assert not refused("1ms")


def test_halted_run_is_in_the_textfile_until_one_succeeds(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    path = tmp_path / "mirrorsync.prom"
    operator = Operator(tmp_path / "home", pypi, metrics={"textfile": str(path)})
    assert operator.does("sync").code == ExitCode.OK
    for moved in (1_000_000, -1_000_000):  # upstream's serial seems to go back, then recovers
        with closing(sqlite3.connect(state_path(operator.directory), isolation_level=None)) as state:
            state.execute("UPDATE mirror SET ingested_serial = ingested_serial + ?", (moved,))
        end = operator.does("sync")
        assert (end.code == ExitCode.OK) == (moved < 0), end.said
        halted = {name: value for (name, _), value in values(path.read_text()).items() if name.endswith("halted")}
        assert halted == dict.fromkeys(("mirrorsync_halted", "mirrorsync_last_run_halted"), float(moved > 0))


def test_unwritable_textfile_is_logged_once_and_stops_nothing(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    path = tmp_path / "absent" / "mirrorsync.prom"
    operator = Operator(tmp_path / "home", pypi, metrics={"textfile": str(path)})
    end = operator.does("sync")
    assert end.code == ExitCode.OK
    assert end.said.count(f"the metrics cannot be written to {path}: No such file or directory") == 1
    assert operator.problems() == []
