"""What `status` calls a warning, and what is worth waking someone for."""

from typing import Any

import pytest

from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.state.audit import AuditReport
from mirrorsync.state.report import Report, RunRow, Unmet
from mirrorsync.status.forecast import Growth
from mirrorsync.status.health import Health, Level, Limits, judge
from mirrorsync.status.host import Disk, Host
from mirrorsync.status.lag import behind
from mirrorsync.status.text import all_well, perfdata, verdict

NOW = 1_800_000_000.0
HOUR, DAY, GIB = 3600.0, 86_400.0, 1 << 30
LIMITS = Limits(warning=HOUR, critical=DAY, poll_interval=60.0, min_free=20 * GIB)


def disk(free: int = 500 * GIB, inodes: int = 1 << 30) -> Disk:
    return Disk(path="/srv/pypi/web", free=free, total=1000 * GIB, inodes_free=inodes)


def around(*, at_work: bool | None = True, disks: tuple[Disk, ...] = (disk(),)) -> Host:
    return Host(at_work=at_work, process="77", disks=disks)


def run(note: str | None = None, *, needs_person: bool = False) -> RunRow:
    return RunRow(NOW - 60, NOW - 50, Serial(100), 1, 1, 1, 0, note, needs_person)


def failing(name: str = "gamma", *, since: float = NOW - 60, stale: bool = False) -> Unmet:
    return Unmet(
        name=ProjectName(name),
        wanted=Serial(100),
        mirrored=Serial(90),
        attempts=2,
        next_attempt_at=NOW + 60,
        error="HTTP 404 | Not Found",
        hint=None,
        unmet_since=Serial(95),
        failing_since=since,
        stale_since=since if stale else None,
    )


def untried(name: str = "young") -> Unmet:
    return Unmet(ProjectName(name), Serial(100), Serial(90), 0, 0.0, None, None, Serial(95))


def mirror(*unmet: Unmet, **facts: Any) -> Report:
    """Return a mirror that was complete half a minute ago, but for `unmet`."""
    values: dict[str, Any] = {
        "upstream": "https://index.test",
        "synced_serial": Serial(100),
        "newest_serial": Serial(100),
        "upstream_serial": Serial(100),
        "has_journal": True,
        "polled_at": NOW - 30,
        "complete_at": NOW - 30,
        "projects": 5000,
        "files": 9000,
        "bytes": 100 * GIB,
        "condemned": 0,
        "audit": AuditReport(None, 0, None, None),
        "unmet_count": len(unmet),
        "unmet": unmet,
        "runs": (run(),),
    }
    return Report(**values | facts)


def judged(report: Report, surroundings: Host | None = None) -> Health:
    return judge(report, surroundings or around(), LIMITS, NOW)


def only_reason(found: Health) -> str:
    (reason,) = found.reasons
    assert reason.level == found.level
    return reason.text


def test_a_mirror_that_was_complete_half_a_minute_ago_is_ok() -> None:
    assert judged(mirror()) == Health(Level.OK, ())
    assert all_well(mirror(), NOW).startswith("as upstream was 30 s ago, synced to serial 100, 5,000 projects")


@pytest.mark.parametrize(
    ("late", "level"), [(HOUR, Level.OK), (HOUR + 1, Level.WARNING), (DAY, Level.WARNING), (DAY + 1, Level.CRITICAL)]
)
def test_lag_is_a_warning_beyond_the_first_limit_and_critical_beyond_the_second(late: float, level: Level) -> None:
    found = judged(mirror(polled_at=NOW - late, complete_at=NOW - late))
    assert found.level == level
    if level:
        assert "upstream has not answered for" in only_reason(found)


def test_a_mirror_that_nobody_works_on_is_told_apart_from_an_upstream_that_is_silent() -> None:
    late = mirror(polled_at=NOW - 2 * DAY, complete_at=NOW - 2 * DAY)
    assert "neither a daemon nor a sync is running" in only_reason(judged(late, around(at_work=False)))
    assert "upstream has not answered for 2 d" in only_reason(judged(late))
    assert "cannot be told" in only_reason(judged(late, around(at_work=None)))


@pytest.mark.parametrize("age", [60.0, 2 * HOUR, 30 * DAY])
def test_one_poisoned_project_is_a_warning_however_long_it_lasts(age: float) -> None:
    found = judged(mirror(failing(since=NOW - age), complete_at=NOW - age))
    assert found.level == Level.WARNING
    assert "1 project cannot be brought up: gamma" in only_reason(found)


def test_one_poisoned_project_from_the_first_sync_on_is_a_warning_too() -> None:
    assert judged(mirror(failing(), complete_at=None)).level == Level.WARNING


def test_many_failing_projects_are_critical_once_the_whole_is_late() -> None:
    many = tuple(failing(f"p-{number}", since=NOW - 2 * DAY) for number in range(6))
    assert judged(mirror(*many)).level == Level.WARNING
    assert judged(mirror(*many, complete_at=NOW - 2 * DAY)).level == Level.CRITICAL


def test_behind_one_poisoned_project_the_lag_of_all_others_is_still_seen() -> None:
    stuck = mirror(failing(), untried(), complete_at=NOW - 9 * DAY, waiting_after=NOW - 2 * DAY)
    assert judged(stuck).level == Level.CRITICAL
    moving = mirror(failing(), untried(), complete_at=NOW - 9 * DAY, waiting_after=NOW - 90)
    assert judged(moving).level == Level.WARNING
    assert behind(moving, NOW) == 90


def test_projects_that_wait_for_their_turn_are_no_trouble() -> None:
    assert judged(mirror(untried(), waiting_after=NOW - 40)).level == Level.OK


@pytest.mark.parametrize(("age", "level"), [(600.0, Level.OK), (2 * HOUR, Level.WARNING), (2 * DAY, Level.WARNING)])
def test_a_page_that_a_cache_holds_back_is_a_warning_when_it_lasts(age: float, level: Level) -> None:
    report = mirror(failing(since=NOW - age, stale=True), complete_at=NOW - age)
    found = judged(report)
    assert found.level == level
    if level:
        assert "a cache in front of upstream has held 1 page back for 2" in only_reason(found)
    else:
        assert "but for 1 page that a cache in front of upstream holds back" in all_well(report, NOW)


def test_a_mirror_that_was_never_complete_is_critical() -> None:
    report = mirror(*(untried(str(number)) for number in range(9)), complete_at=None)
    assert "never complete: 9 projects to go, 5000 served" in only_reason(judged(report))
    silent = mirror(complete_at=None, polled_at=None)
    assert "upstream has not answered yet" in only_reason(judged(silent))


def test_a_halt_that_wants_a_person_is_critical_until_somebody_is_at_work_again() -> None:
    report = mirror(runs=(run("no space left", needs_person=True),))
    found = judged(report, around(at_work=False))
    assert found.level == Level.CRITICAL
    assert "the last run was halted: no space left" in only_reason(found)
    assert judged(report, around(at_work=True)).level == Level.WARNING


def test_a_run_that_upstream_ended_is_judged_by_the_lag_alone() -> None:
    assert judged(mirror(runs=(run("no connection"),)), around(at_work=False)).level == Level.OK


def test_below_min_free_downloads_wait_and_that_is_critical() -> None:
    found = judged(mirror(), around(disks=(disk(19 * GIB),)))
    assert found.level == Level.CRITICAL
    assert only_reason(found) == "downloads wait for room: 19 GiB free, min-free is 20 GiB"


def test_a_full_disk_and_one_without_inodes_are_called_so_also_that_of_the_state() -> None:
    assert "is full" in only_reason(judged(mirror(), around(disks=(disk(0),))))
    assert "only 12 inodes left" in only_reason(judged(mirror(), around(disks=(disk(inodes=12),))))
    assert judged(mirror(), around(disks=(disk(), disk(0)))).level == Level.CRITICAL
    assert judged(mirror(), around(disks=(disk(), disk(GIB)))).level == Level.OK


def test_a_disk_that_will_be_full_within_a_week_is_a_warning_and_a_later_one_is_not() -> None:
    def growing(days: int) -> tuple[Report, Host]:
        return mirror(growth=Growth(seconds=DAY, bytes=40 * GIB), bytes=1000 * GIB), around(
            disks=(disk((20 + 40 * days) * GIB),)
        )

    assert "full in about 6 d (40 GiB a day)" in only_reason(judged(*growing(6)))
    assert judged(*growing(8)).level == Level.OK


def test_the_worst_reason_comes_first() -> None:
    halted = run("no space left", needs_person=True)
    found = judged(mirror(runs=(halted,)), around(at_work=True, disks=(disk(0),)))
    assert [reason.level for reason in found.reasons] == [Level.CRITICAL, Level.WARNING]
    assert found.level == Level.CRITICAL


def test_the_first_line_has_one_bar_and_only_before_the_figures() -> None:
    report = mirror(failing())
    found = judged(report)
    line = verdict(found.level, found.reasons)
    assert line == "MIRRORSYNC WARNING - 1 project cannot be brought up: gamma (HTTP 404 / Not Found)"
    assert "|" not in perfdata(report, around(), LIMITS, NOW)


def test_figures_that_cannot_be_told_are_written_as_plugins_write_them() -> None:
    told = perfdata(mirror(complete_at=None, polled_at=None, synced_serial=None), around(), LIMITS, NOW).split()
    assert {"lag=U", "complete_lag=U", "serials=U", "unmet=0;;;0"} <= set(told)
    assert f"free={500 * GIB}B;;{20 * GIB}:;0;{1000 * GIB}" in told
