"""Which states are a warning, and which are critical."""

from typing import Any

import pytest

from mirrorsync.errors import BadConfig, StoreDenied
from mirrorsync.state.report import Growth
from mirrorsync.status.health import Health, Level, ReasonKind, judge, judge_unreadable, lag_limits
from mirrorsync.status.host import Host
from mirrorsync.status.snapshot import Site
from mirrorsync.status.text import all_well, headline, perfdata
from tests.unit.status.mirrors import DAY, GIB, HOUR, NOW, SITE, disk, failing, host, mirror, run, sink, untried


def judged(*unmet: Any, **facts: Any) -> Health:
    return judge(mirror(*unmet, **facts))


def only_reason(found: Health) -> str:
    (reason,) = found.reasons
    assert reason.level == found.level
    return reason.text


def test_a_complete_mirror_is_ok() -> None:
    snapshot = mirror()
    found = judge(snapshot)
    assert (found.level, found.reasons) == (Level.OK, ())
    assert all_well(snapshot, found).startswith("as upstream was 30 s ago, synced to serial 100, 5,000 projects")


@pytest.mark.parametrize(
    ("late", "level"), [(HOUR, Level.OK), (HOUR + 1, Level.WARNING), (DAY, Level.WARNING), (DAY + 1, Level.CRITICAL)]
)
def test_lag_is_judged_by_two_limits(late: float, level: Level) -> None:
    found = judged(polled_at=NOW - late, complete_at=NOW - late)
    assert found.level == level
    if level:
        assert "upstream has not answered for" in only_reason(found)


@pytest.mark.parametrize(
    ("site", "limits"),
    [
        (Site(), (HOUR, DAY)),
        (Site(poll_interval=6 * HOUR), (18 * HOUR + 60, DAY)),
        (Site(poll_interval=DAY), (3 * DAY + 60, 3 * DAY + 60)),
        (Site(poll_interval=6 * HOUR, warn_lag=60.0, critical_lag=90.0), (60.0, 90.0)),
    ],
)
def test_a_mirror_that_polls_rarely_has_more_time_by_default(site: Site, limits: tuple[float, float]) -> None:
    assert lag_limits(site) == limits


def test_a_missing_daemon_is_told_apart_from_a_silent_upstream() -> None:
    late = {"polled_at": NOW - 2 * DAY, "complete_at": NOW - 2 * DAY}
    assert "neither a daemon nor a sync is running" in only_reason(judged(around=host(at_work=False), **late))
    assert "upstream has not answered for 2 d" in only_reason(judged(**late))
    assert "unknown whether a daemon" in only_reason(judged(around=host(at_work=None), **late))


@pytest.mark.parametrize("age", [60.0, 2 * HOUR, 30 * DAY])
def test_one_failing_project_is_a_warning_for_any_length_of_time(age: float) -> None:
    found = judged(failing(since=NOW - age), complete_at=NOW - age)
    assert found.level == Level.WARNING
    assert "1 project cannot be mirrored: gamma" in only_reason(found)


def test_one_project_that_fails_from_the_first_sync_on_is_a_warning() -> None:
    assert judged(failing(), complete_at=None).level == Level.WARNING


def test_many_failing_projects_are_critical_once_the_whole_is_late() -> None:
    many = tuple(failing(f"p-{number}", since=NOW - 2 * DAY) for number in range(6))
    assert judged(*many).level == Level.WARNING
    assert judged(*many, complete_at=NOW - 2 * DAY).level == Level.CRITICAL


def test_a_failing_project_does_not_hide_the_lag_of_the_others() -> None:
    stuck = {"complete_at": NOW - 9 * DAY, "waiting_after": NOW - 2 * DAY}
    assert judged(failing(), untried(), **stuck).level == Level.CRITICAL
    moving = judged(failing(), untried(), complete_at=NOW - 9 * DAY, waiting_after=NOW - 90)
    assert moving.level == Level.WARNING
    assert moving.behind == 90


def test_projects_that_wait_for_their_first_attempt_are_no_trouble() -> None:
    assert judged(untried(), waiting_after=NOW - 40).level == Level.OK


@pytest.mark.parametrize(("age", "level"), [(600.0, Level.OK), (2 * HOUR, Level.WARNING), (2 * DAY, Level.WARNING)])
def test_a_page_that_a_cache_holds_back_for_long_is_a_warning(age: float, level: Level) -> None:
    snapshot = mirror(failing(since=NOW - age, stale=True), complete_at=NOW - age)
    found = judge(snapshot)
    assert found.level == level
    if level:
        assert "a cache in front of upstream has held 1 page back for 2" in only_reason(found)
    else:
        assert "but for 1 page that a cache in front of upstream holds back" in all_well(snapshot, found)


def test_mirror_that_was_never_complete_is_critical() -> None:
    found = judged(*(untried(str(number)) for number in range(9)), complete_at=None)
    assert "never complete: 9 projects to go, 5000 served" in only_reason(found)
    assert "upstream has not answered yet" in only_reason(judged(complete_at=None, polled_at=None))


def test_a_halt_is_critical_until_another_run_is_under_way() -> None:
    halted = (run("no space left", needs_person=True),)
    found = judged(runs=halted, around=host(at_work=False))
    assert found.level == Level.CRITICAL
    assert "the last run was halted: no space left" in only_reason(found)
    assert judged(runs=halted).level == Level.WARNING


def test_a_run_that_upstream_ended_is_judged_by_the_lag_alone() -> None:
    assert judged(runs=(run("no connection"),), around=host(at_work=False)).level == Level.OK


def test_downloads_that_wait_for_room_are_critical() -> None:
    found = judged(around=host(disk(19 * GIB)))
    assert found.level == Level.CRITICAL
    assert only_reason(found) == "downloads wait for room: 19 GiB free, min-free is 20 GiB"


def test_a_full_disk_is_critical_also_that_of_the_state() -> None:
    assert "is full" in only_reason(judged(around=host(disk(0))))
    assert "only 12 inodes left" in only_reason(judged(around=host(disk(inodes=12))))
    assert judged(around=host(disk(), disk(0))).level == Level.CRITICAL
    assert judged(around=host(disk(), disk(GIB))).level == Level.OK


@pytest.mark.parametrize(("days", "level"), [(6, Level.WARNING), (8, Level.OK)])
def test_a_disk_that_will_be_full_within_a_week_is_a_warning(days: int, level: Level) -> None:
    growth, room = Growth(seconds=DAY, bytes=40 * GIB), (20 + 40 * days) * GIB
    found = judged(growth=growth, bytes=1000 * GIB, around=host(disk(room)))
    assert found.level == level
    if level:
        assert "full in about 6 d (40 GiB a day)" in only_reason(found)


def test_the_worst_reason_comes_first() -> None:
    found = judged(runs=(run("no space left", needs_person=True),), around=host(disk(0)))
    assert [reason.level for reason in found.reasons] == [Level.CRITICAL, Level.WARNING]
    assert found.level == Level.CRITICAL


def test_readiness_depends_on_the_lag_alone() -> None:
    assert judged(failing(), sinks=(sink(9),), around=host(disk(0))).ready
    assert not judged(polled_at=NOW - HOUR - 1, complete_at=NOW - HOUR - 1).ready
    assert not judged(polled_at=None, complete_at=None).ready
    strict = Site(min_free=SITE.min_free, ready_within=20.0)
    assert judged(site=strict).level == Level.OK
    assert not judged(site=strict).ready


def test_what_is_served_is_judged_apart_from_caches_and_forecasts() -> None:
    assert judged(sinks=(sink(4),)).content_level == Level.OK
    assert judged(failing(), sinks=(sink(4),)).content_level == Level.WARNING


def test_an_unreadable_state_is_critical_unless_the_reader_is_kept_out() -> None:
    damaged = judge_unreadable(StoreDenied("the state is damaged"), Host())
    assert (damaged.level, damaged.reasons[0].kind) == (Level.CRITICAL, ReasonKind.UNREADABLE)
    assert judge_unreadable(BadConfig("no mirror yet"), host(disk(0))).level == Level.UNKNOWN
    both = judge_unreadable(StoreDenied("the state is damaged"), host(disk(0)))
    assert [reason.kind for reason in both.reasons] == [ReasonKind.UNREADABLE, ReasonKind.DISK_FULL]


def test_the_first_line_has_one_bar_and_only_before_the_figures() -> None:
    snapshot = mirror(failing())
    found = judge(snapshot)
    line = headline(found)
    assert line == "MIRRORSYNC WARNING - 1 project cannot be mirrored: gamma (HTTP 404 / Not Found)"
    assert "|" not in perfdata(snapshot, found)


def test_unknown_figures_are_written_as_plugins_write_them() -> None:
    snapshot = mirror(complete_at=None, polled_at=None, synced_serial=None)
    figures = perfdata(snapshot, judge(snapshot)).split()
    assert {"lag=U", "complete_lag=U", "serials=U", "unmet=0;;;0"} <= set(figures)
    assert f"free={500 * GIB}B;;{20 * GIB}:;0;{1000 * GIB}" in figures
