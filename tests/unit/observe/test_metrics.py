import shutil
import subprocess
import time
from pathlib import Path

import pytest

from mirrorsync import errors
from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.reason import REASONS, reason_of
from mirrorsync.observe.counters import Counters, Histogram
from mirrorsync.observe.metrics import Metrics, Process
from tests.unit.observe.metrics_kit import NOW, OPENMETRICS, busy, failed, mirrored, standing, values

PROMTOOL = shutil.which("promtool")
_REQUESTS = 100_000


def test_both_forms_say_the_same() -> None:
    metrics = Metrics(busy())
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


def test_the_numbers_are_those_of_the_mirror() -> None:
    found = values(Metrics(busy()).page(standing(), "")[0])
    assert found["mirrorsync_lag_seconds", ()] == 90
    assert found["mirrorsync_behind_seconds", ()] == 30
    assert found["mirrorsync_upstream_serial", ()] - found["mirrorsync_synced_serial", ()] == 20
    assert found["mirrorsync_queue_projects", (("state", "waiting"),)] == 4
    assert found["mirrorsync_queue_projects", (("state", "in_flight"),)] == 2
    assert found["mirrorsync_disk_free_bytes", ()] == 400
    assert found["mirrorsync_fetched_files_total", ()] == 2
    assert found["mirrorsync_upstream_requests_total", (("code", "4xx"), ("host", "files.test"))] == 1
    assert found["mirrorsync_upstream_requests_total", (("code", "none"), ("host", "files.test"))] == 1
    assert found["mirrorsync_upstream_received_bytes_total", (("code", "200"), ("host", "index.test"))] == 1000
    assert found["mirrorsync_trouble", (("at", "upstream"),)] == 0
    assert found["mirrorsync_trouble", (("at", "removals"),)] == 1
    assert found["mirrorsync_troubles_total", (("at", "upstream"),)] == 1
    assert found["mirrorsync_root_index_writes_total", ()] == 1
    assert found["process_open_fds", ()] > 0


def test_what_is_not_known_has_no_sample() -> None:
    nothing = standing(complete_at=None, behind=None, synced_serial=None, room=None, run=None, failing_since=None)
    names = {name for name, _ in values(Metrics(Counters()).page(nothing, "")[0])}
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


def test_the_reasons_add_up_to_what_is_unmet() -> None:
    by_reason = {
        dict(labels)["reason"]: value
        for (name, labels), value in values(Metrics(busy()).page(standing(unmet=5), "")[0]).items()
        if name == "mirrorsync_unmet_projects"
    }
    assert sum(by_reason.values()) == 5
    assert (by_reason["stale"], by_reason["unreachable"], by_reason["waiting"]) == (1, 1, 3)


def test_troubles_of_all_projects_end_with_the_next_that_goes_well() -> None:
    tally = Counters()
    tally.troubled("projects", errors.Unreachable("down"))
    low = failed("alpha", errors.LowSpace("little"))
    tally.ended(low)
    tally.ended(failed("beta", errors.LowSpace("little")))
    assert tally.troubled_now == {"projects", "space"}
    assert (tally.troubles["projects"], tally.troubles["space"]) == (1, 2)
    tally.ended(mirrored("gamma", files=0))
    assert tally.troubled_now == {"space"}
    tally.ended(mirrored("alpha", files=1))
    assert tally.troubled_now == set()


def test_every_error_has_one_of_the_words() -> None:
    every = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MirrorsyncError)]
    words = {kind.__name__: reason_of(kind("what")) for kind in every}
    assert set(words.values()) == set(REASONS)
    assert words["StoreFull"] == "storage"
    assert words["LowSpace"] == "low_space"
    assert [
        name for name, word in words.items() if word == "other" and issubclass(vars(errors)[name], errors.DownloadError)
    ] == ["DownloadError"]


def test_a_hostile_upstream_makes_no_unbounded_labels() -> None:
    tally = Counters()
    for status in range(2000):
        tally.answered("index.test", status, 0, 0.0)
    assert len(tally.traffic) <= 20
    assert sum(traffic.requests for traffic in tally.traffic.values()) == 2000


def test_a_duration_that_is_as_long_as_a_bound_is_below_it() -> None:
    histogram = Histogram()
    for seconds in (0.0, 0.005, 0.006, 300.0, 301.0):
        histogram.add(seconds)
    counts = dict(histogram.buckets())
    assert (counts["0.005"], counts["0.01"], counts["60.0"], counts["300.0"], counts["+Inf"]) == (2, 3, 3, 4, 5)
    assert histogram.count == 5


def test_the_textfile_leaves_the_process_to_node_exporter() -> None:
    body = Metrics(busy()).textfile(standing())
    names = {name for name, _ in values(body)}
    assert {name for name in names if not name.startswith("mirrorsync_")} == set()
    assert values(body)["mirrorsync_observed_timestamp_seconds", ()] == NOW
    assert b"# EOF" not in body


def test_the_process_shows_its_memory_where_the_machine_is_hidden(tmp_path: Path) -> None:
    (tmp_path / "self").symlink_to("/proc/self")
    shown = {family.name: family.samples[0].value for family in Process(proc=str(tmp_path), registry=None).collect()}
    assert shown["process_resident_memory_bytes"] > 1e7
    assert shown["process_open_fds"] > 2
    assert 0 < time.time() - shown["process_start_time_seconds"] < 86_400


def test_two_processes_share_nothing() -> None:
    first, second = Metrics(busy()), Metrics(Counters())
    assert ("mirrorsync_fetched_bytes_total", ()) in values(first.page(standing(), "")[0])
    assert values(second.page(standing(), "")[0])["mirrorsync_fetched_bytes_total", ()] == 0


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here: apt-get install prometheus")
def test_promtool_finds_no_fault_with_the_names() -> None:
    body, _ = Metrics(busy()).page(standing(), "")
    own = b"".join(
        line for line in body.splitlines(keepends=True) if not line.removeprefix(b"# HELP ").startswith(b"python_")
    )
    done = subprocess.run([PROMTOOL or "", "check", "metrics"], input=own, capture_output=True, check=False, timeout=30)
    assert (done.returncode, done.stdout.decode() + done.stderr.decode()) == (0, "")
