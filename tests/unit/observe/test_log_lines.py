"""The log has one line for each trouble and one for its end, for any number of occurrences and projects."""

from typing import Any, Self

import pytest

from mirrorsync.errors import LowSpace, MirrorsyncError, TooManyDeletions, Unreachable
from mirrorsync.model.identity import Serial, project_name
from mirrorsync.model.outcome import Confirmed, Failed, Mirrored, Removed, StoredFile
from mirrorsync.observe.log_lines import LogLines
from mirrorsync.observe.run_observer import Done, RunObserver, RunObservers, Where


class RecordedLog:
    """Records the lines of a LogLines, which reads the time from `now`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lines: list[tuple[str, str, dict[str, Any]]] = []
        self.observer = LogLines(self.say, self.clock, command="run")

    def clock(self) -> float:
        return self.now

    def say(self, level: str, event: str, **fields: Any) -> None:
        self.lines.append((level, event, fields))

    @property
    def events(self) -> list[str]:
        return [event for _, event, _ in self.lines]

    def fails(self, name: str, error: str = "HTTP 404", reason: Any = "missing") -> None:
        self.observer.ended(Failed(name=project_name(name), error=error, hint="look", delay=60.0, reason=reason))

    def succeeds(self, name: str, size: int = 0) -> None:
        file = StoredFile(place=b"", filename="x", size=size, file_is_new=True, metadata_sha256=None)
        self.observer.fetched(size)
        self.observer.ended(
            Mirrored(
                name=project_name(name),
                serial=None,
                page_serial=None,
                page_digest=b"",
                etag=None,
                status="active",
                stored=(file,) if size else (),
                bytes_fetched=size,
            )
        )


@pytest.fixture
def log() -> RecordedLog:
    return RecordedLog()


def down(attempts: int = 4) -> MirrorsyncError:
    return Unreachable("journal", why=f"no connection; {attempts} attempts in {attempts * 3.1:.1f} s", hint="network")


def test_a_run_is_logged_at_its_start_and_with_its_totals_at_its_end(log: RecordedLog) -> None:
    with log.observer as observer:
        log.succeeds("numpy", 5_000)
        observer.ended(Confirmed(name=project_name("pip"), content_serial=Serial(1)))
        log.fails("broken")
        observer.published(Done(2, 1, 5_000, 1, Serial(77)))
        log.now = 12.34
    assert log.events == ["run started", "project failed", "run ended"]
    assert log.lines[-1][2] == {
        "command": "run",
        "projects": 2,
        "files": 1,
        "bytes": 5_000,
        "errors": 1,
        "seconds": 12.3,
        "serial": 77,
    }


def test_an_outage_gives_one_line_and_ever_rarer_reminders(log: RecordedLog) -> None:
    for minute in range(24 * 60):
        log.now = minute * 60.0
        log.observer.failed("upstream", down(minute))
    log.observer.recovered("upstream")
    log.observer.recovered("upstream")
    assert log.events == ["trouble", *["trouble goes on"] * 7, "trouble is over"]
    assert log.lines[1][2]["count"] == 16
    assert log.lines[1][2]["seconds"] == 900.0
    assert log.lines[-1][2] == {"where": "upstream", "count": 24 * 60, "seconds": (24 * 60 - 1) * 60.0}


def test_a_flapping_upstream_gives_two_lines_in_fifteen_minutes(log: RecordedLog) -> None:
    for minute in range(60):
        log.now = minute * 60.0
        log.observer.failed("upstream", down())
        log.now += 30
        log.observer.recovered("upstream")
    assert log.events == ["trouble", "trouble is over"] * 4


def test_troubles_of_different_places_are_logged_separately(log: RecordedLog) -> None:
    places: list[Where] = ["upstream", "removals", "root list"]
    for where in places:
        log.observer.failed(where, TooManyDeletions("2 projects would go"))
    log.observer.recovered("removals")
    assert [fields["where"] for _, _, fields in log.lines] == ["upstream", "removals", "root list", "removals"]


def test_a_repeated_failure_with_one_reason_is_logged_once(log: RecordedLog) -> None:
    for attempt in range(50):
        log.now = attempt * 600.0
        log.fails("poisoned", f"poisoned-1.0: got sha256 {attempt:064x}; {attempt} attempts in {attempt * 1.5:.1f} s")
    assert log.events.count("project failed") == 1
    log.succeeds("poisoned")
    log.succeeds("poisoned")
    assert [fields for _, event, fields in log.lines if event == "project recovered"] == [
        {"project": "poisoned", "attempts": 50, "seconds": 49 * 600.0}
    ]


def test_a_failure_with_another_reason_is_logged_again(log: RecordedLog) -> None:
    for error in ("HTTP 404", "HTTP 404", "HTTP 403", "HTTP 503", "HTTP 503"):
        log.fails("poisoned", error)
    assert [fields["reason"] for _, _, fields in log.lines] == ["HTTP 404", "HTTP 403", "HTTP 503"]


def test_many_failures_at_once_give_some_lines_and_a_count(log: RecordedLog) -> None:
    with log.observer:
        for number in range(500):
            log.fails(f"project-{number}")
        log.now = 61.0
        log.fails("later")
        log.succeeds("project-499")  # whose failure was left out
    assert log.events.count("project failed") == 21
    assert "project recovered" not in log.events
    assert [fields for _, event, fields in log.lines if event == "left out"] == [
        {"kind": "project failed", "count": 480, "seconds": 61.0}
    ]


def test_lines_left_out_last_are_counted_at_the_end(log: RecordedLog) -> None:
    with log.observer:
        for number in range(30):
            log.observer.ended(
                Removed(name=project_name(f"project-{number}"), reason="removed upstream", wanted_serial=None)
            )
    assert [(event, fields.get("count")) for _, event, fields in log.lines[-2:]] == [
        ("left out", 10),
        ("run ended", None),
    ]


def test_a_full_disk_is_one_trouble_for_all_projects(log: RecordedLog) -> None:
    for number in range(100):
        log.fails(f"project-{number}", str(LowSpace(f"{number} MiB would leave too little")), reason="low_space")
    log.succeeds("small")
    assert [(event, fields["where"]) for _, event, fields in log.lines] == [("trouble", "space")]
    log.succeeds("project-1", 1_000)
    assert log.events == ["trouble", "trouble is over"]


def test_held_removals_have_a_separate_event(log: RecordedLog) -> None:
    log.fails("emptied", "emptied: 900 files would go", reason="held")
    assert log.lines[0][:2] == ("warning", "removal held")


def test_few_failing_projects_are_remembered(log: RecordedLog) -> None:
    for number in range(12_000):
        log.fails(f"project-{number}")
    assert len(log.observer._failing) == 10_000


def test_progress_is_logged_ever_more_rarely_and_only_if_any(log: RecordedLog) -> None:
    for second in range(7200):
        log.now = float(second)
        log.succeeds("numpy", 10)
    progress = [fields for _, event, fields in log.lines if event == "progress"]
    assert [fields["seconds"] for fields in progress[:6]] == [30.0, 60.0, 120.0, 240.0, 480.0, 600.0]
    assert len(progress) < 20
    assert sum(fields["files"] for fields in progress) > 6000
    log.now += 6000
    log.observer.published(Done(0, 0, 0, 0, None))
    log.lines.clear()
    for _ in range(100):
        log.now += 600
        log.observer.queued(0)
        log.observer.published(Done(0, 0, 0, 0, None))
    assert log.lines == []


def test_observers_are_all_called_and_entered_all_or_none() -> None:
    class FailingObserver(RunObserver):
        def __enter__(self) -> Self:
            raise OSError("no terminal")

    first, second = RecordedLog(), RecordedLog()
    with RunObservers(first.observer, second.observer) as both:
        both.warn("a note")
        both.info("no more than that")
        both.queued(3)
        both.fetched(7)
        both.ended(Confirmed(name=project_name("pip"), content_serial=Serial(1)))
        both.published(Done(1, 0, 7, 0, Serial(5)))
        both.failed("upstream", down())
        both.recovered("upstream")
    assert first.lines == second.lines
    assert [level for level, event, _ in first.lines if event == "notice"] == ["warning", "info"]
    assert first.events == ["run started", "notice", "notice", "trouble", "trouble is over", "run ended"]
    third = RecordedLog()
    with pytest.raises(OSError, match="no terminal"), RunObservers(third.observer, FailingObserver()):
        pass
    assert third.events == ["run started", "run ended"]
