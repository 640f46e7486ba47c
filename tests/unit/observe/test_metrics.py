import shutil
import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from mirrorsync import errors
from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.reason import REASONS, reason_of
from mirrorsync.observe.metrics import Metrics, Process
from mirrorsync.status.host import Host
from tests.unit.observe.metrics_kit import (
    OPENMETRICS,
    busy,
    by_label,
    count,
    failed,
    mirrored,
    standing,
    values,
)
from tests.unit.status.mirrors import NOW, mirror

PROMTOOL = shutil.which("promtool")


def test_both_formats_have_the_same_values() -> None:
    metrics = busy()
    text, text_type = metrics.page(standing(), "text/plain")
    form, form_type = metrics.page(standing(), OPENMETRICS)
    assert text_type.startswith("text/plain; version=0.0.4")
    assert form_type.startswith("application/openmetrics-text; version=1.0.0")
    assert form.endswith(b"# EOF\n")
    own = {key: value for key, value in values(text).items() if key[0].startswith("mirrorsync_")}
    assert own == {
        key: value for key, value in values(form, openmetrics=True).items() if key[0].startswith("mirrorsync_")
    }
    assert len(own) > 100


def test_the_values_are_those_of_the_snapshot() -> None:
    found = values(busy().page(standing(), "")[0])
    assert found["mirrorsync_lag_seconds", ()] == 90
    assert found["mirrorsync_behind_seconds", ()] == 40
    assert found["mirrorsync_upstream_serial", ()] - found["mirrorsync_synced_serial", ()] == 20
    assert found["mirrorsync_queue_projects", (("state", "waiting"),)] == 4
    assert found["mirrorsync_queue_projects", (("state", "in_flight"),)] == 2
    assert found["mirrorsync_disk_free_bytes", ()] == 500 << 30
    assert found["mirrorsync_fetched_files_total", ()] == 2
    assert found["mirrorsync_upstream_requests_total", (("code", "4xx"), ("host", "files.test"))] == 1
    assert found["mirrorsync_upstream_requests_total", (("code", "none"), ("host", "files.test"))] == 1
    assert found["mirrorsync_upstream_received_bytes_total", (("code", "200"), ("host", "index.test"))] == 1000
    assert found["mirrorsync_trouble", (("at", "upstream"),)] == 0
    assert found["mirrorsync_trouble", (("at", "removals"),)] == 1
    assert found["mirrorsync_troubles_total", (("at", "upstream"),)] == 1
    assert found["mirrorsync_root_index_writes_total", ()] == 1
    assert found["process_open_fds", ()] > 0


def test_an_unknown_value_has_no_sample() -> None:
    unknown = mirror(complete_at=None, polled_at=None, synced_serial=None, runs=())
    unknown = msgspec.structs.replace(unknown, host=Host())
    names = {name for name, _ in values(Metrics().page(standing(unknown), "")[0])}
    assert "mirrorsync_unmet_projects" in names
    absent = {
        "mirrorsync_lag_seconds",
        "mirrorsync_behind_seconds",
        "mirrorsync_synced_serial",
        "mirrorsync_disk_free_bytes",
        "mirrorsync_last_run_halted",
        "mirrorsync_failing_since_timestamp_seconds",
    }
    assert absent & names == set()


def test_the_reasons_add_up_to_the_unmet_projects() -> None:
    by_reason = {
        dict(labels)["reason"]: value
        for (name, labels), value in values(busy().page(standing(), "")[0]).items()
        if name == "mirrorsync_unmet_projects"
    }
    assert sum(by_reason.values()) == 5
    assert (by_reason["stale"], by_reason["unreachable"], by_reason["waiting"]) == (1, 1, 3)


def test_a_trouble_of_all_projects_ends_with_the_next_success() -> None:
    metrics = Metrics()
    metrics.failed("projects", errors.Unreachable("down"))
    low = failed("alpha", errors.LowSpace("little"))
    metrics.ended(low)
    metrics.ended(failed("beta", errors.LowSpace("little")))
    assert set(by_label(metrics, "trouble", "at")) == {"projects", "space"}
    assert by_label(metrics, "troubles_total", "at") == {"projects": 1, "space": 2}
    metrics.ended(mirrored("gamma", files=0))
    assert set(by_label(metrics, "trouble", "at")) == {"space"}
    metrics.ended(mirrored("alpha", files=1))
    assert by_label(metrics, "trouble", "at") == {}


def test_every_error_class_has_a_reason() -> None:
    every = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MirrorsyncError)]
    words = {kind.__name__: reason_of(kind("what")) for kind in every}
    assert set(words.values()) == set(REASONS)
    assert words["StoreFull"] == "storage"
    assert words["LowSpace"] == "low_space"
    assert [
        name for name, word in words.items() if word == "other" and issubclass(vars(errors)[name], errors.DownloadError)
    ] == ["DownloadError"]


def test_a_hostile_upstream_makes_no_unbounded_labels() -> None:
    metrics = Metrics()
    for status in range(2000):
        metrics.answered("index.test", status, 0, 0.0)
    found = by_label(metrics, "upstream_requests_total", "code")
    assert len(found) <= 20
    assert sum(found.values()) == 2000


def test_a_duration_counts_in_the_bucket_whose_bound_it_equals() -> None:
    metrics = Metrics()
    for seconds in (0.0, 0.005, 0.006, 300.0, 301.0):
        metrics.took("poll", seconds)
    bounds = ("0.005", "0.01", "60.0", "300.0", "+Inf")
    counts = [count(metrics, "step_duration_seconds_bucket", step="poll", le=bound) for bound in bounds]
    assert counts == [2, 3, 3, 4, 5]
    assert count(metrics, "step_duration_seconds_count", step="poll") == 5


def test_counting_a_request_takes_microseconds() -> None:
    metrics, requests = Metrics(), 20_000
    began = time.process_time()
    for _ in range(requests):
        metrics.answered("index.test", 200, 1000, 0.02)
    assert (time.process_time() - began) / requests < 50e-6


def test_the_textfile_leaves_the_process_to_node_exporter() -> None:
    body = busy().textfile(standing())
    names = {name for name, _ in values(body)}
    assert {name for name in names if not name.startswith("mirrorsync_")} == set()
    assert values(body)["mirrorsync_observed_timestamp_seconds", ()] == NOW
    assert b"# EOF" not in body


def test_process_metrics_work_without_the_machines_proc_files(tmp_path: Path) -> None:
    (tmp_path / "self").symlink_to("/proc/self")
    shown = {family.name: family.samples[0].value for family in Process(proc=str(tmp_path), registry=None).collect()}
    assert shown["process_resident_memory_bytes"] > 1e7
    assert shown["process_open_fds"] > 2
    assert 0 < time.time() - shown["process_start_time_seconds"] < 86_400


def test_two_processes_share_nothing() -> None:
    first, second = busy(), Metrics()
    assert ("mirrorsync_fetched_bytes_total", ()) in values(first.page(standing(), "")[0])
    assert values(second.page(standing(), "")[0])["mirrorsync_fetched_bytes_total", ()] == 0


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here: apt-get install prometheus")
def test_promtool_accepts_the_metrics() -> None:
    body, _ = busy().page(standing(), "")
    own = b"".join(
        line for line in body.splitlines(keepends=True) if not line.removeprefix(b"# HELP ").startswith(b"python_")
    )
    done = subprocess.run([PROMTOOL or "", "check", "metrics"], input=own, capture_output=True, check=False, timeout=30)
    assert (done.returncode, done.stdout.decode() + done.stderr.decode()) == (0, "")
