"""The log has one line for each trouble and one for its end, for any number of occurrences and projects."""

from typing import Any, Self

import pytest

from mirrorsync.errors import LowSpace, MirrorsyncError, TooManyDeletions, Unreachable
from mirrorsync.model.identity import Serial, project_name
from mirrorsync.model.outcome import Confirmed, Failed, Mirrored, Removed, StoredFile
from mirrorsync.observe.log_lines import LogLines
from mirrorsync.observe.run_observer import Done, RunObserver, RunObservers, Where


class Ear:
    """Whoever reads the log, with a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lines: list[tuple[str, str, dict[str, Any]]] = []
        self.audience = LogLines(self.say, self.clock, command="run")

    def clock(self) -> float:
        return self.now

    def say(self, level: str, event: str, **fields: Any) -> None:
        self.lines.append((level, event, fields))

    @property
    def events(self) -> list[str]:
        return [event for _, event, _ in self.lines]

    def fails(self, name: str, error: str = "HTTP 404", reason: Any = "missing") -> None:
        self.audience.ended(Failed(name=project_name(name), error=error, hint="look", delay=60.0, reason=reason))

    def succeeds(self, name: str, size: int = 0) -> None:
        file = StoredFile(place=b"", filename="x", size=size, file_is_new=True, metadata_sha256=None)
        self.audience.fetched(size)
        self.audience.ended(
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
def ear() -> Ear:
    return Ear()


def down(attempts: int = 4) -> MirrorsyncError:
    return Unreachable("journal", why=f"no connection; {attempts} attempts in {attempts * 3.1:.1f} s", hint="network")


def test_a_run_is_logged_at_its_start_and_with_its_totals_at_its_end(ear: Ear) -> None:
    with ear.audience as audience:
        ear.succeeds("numpy", 5_000)
        audience.ended(Confirmed(name=project_name("pip"), content_serial=Serial(1)))
        ear.fails("broken")
        audience.published(Done(2, 1, 5_000, 1, Serial(77)))
        ear.now = 12.34
    assert ear.events == ["run started", "project failed", "run ended"]
    assert ear.lines[-1][2] == {
        "command": "run",
        "projects": 2,
        "files": 1,
        "bytes": 5_000,
        "errors": 1,
        "seconds": 12.3,
        "serial": 77,
    }


def test_an_outage_gives_one_line_and_ever_rarer_reminders(ear: Ear) -> None:
    for minute in range(24 * 60):
        ear.now = minute * 60.0
        ear.audience.failed("upstream", down(minute))
    ear.audience.recovered("upstream")
    ear.audience.recovered("upstream")
    assert ear.events == ["trouble", *["trouble goes on"] * 7, "trouble is over"]
    assert ear.lines[1][2]["count"] == 16
    assert ear.lines[1][2]["seconds"] == 900.0
    assert ear.lines[-1][2] == {"where": "upstream", "count": 24 * 60, "seconds": (24 * 60 - 1) * 60.0}


def test_a_flapping_upstream_gives_two_lines_in_fifteen_minutes(ear: Ear) -> None:
    for minute in range(60):
        ear.now = minute * 60.0
        ear.audience.failed("upstream", down())
        ear.now += 30
        ear.audience.recovered("upstream")
    assert ear.events == ["trouble", "trouble is over"] * 4


def test_troubles_of_different_places_are_logged_separately(ear: Ear) -> None:
    places: list[Where] = ["upstream", "removals", "root list"]
    for where in places:
        ear.audience.failed(where, TooManyDeletions("2 projects would go"))
    ear.audience.recovered("removals")
    assert [fields["where"] for _, _, fields in ear.lines] == ["upstream", "removals", "root list", "removals"]


def test_a_repeated_failure_with_one_reason_is_logged_once(ear: Ear) -> None:
    for attempt in range(50):
        ear.now = attempt * 600.0
        ear.fails("poisoned", f"poisoned-1.0: got sha256 {attempt:064x}; {attempt} attempts in {attempt * 1.5:.1f} s")
    assert ear.events.count("project failed") == 1
    ear.succeeds("poisoned")
    ear.succeeds("poisoned")
    assert [fields for _, event, fields in ear.lines if event == "project recovered"] == [
        {"project": "poisoned", "attempts": 50, "seconds": 49 * 600.0}
    ]


def test_a_failure_with_another_reason_is_logged_again(ear: Ear) -> None:
    for error in ("HTTP 404", "HTTP 404", "HTTP 403", "HTTP 503", "HTTP 503"):
        ear.fails("poisoned", error)
    assert [fields["reason"] for _, _, fields in ear.lines] == ["HTTP 404", "HTTP 403", "HTTP 503"]


def test_many_failures_at_once_give_some_lines_and_a_count(ear: Ear) -> None:
    with ear.audience:
        for number in range(500):
            ear.fails(f"project-{number}")
        ear.now = 61.0
        ear.fails("later")
        ear.succeeds("project-499")  # which was left out when it failed
    assert ear.events.count("project failed") == 21
    assert "project recovered" not in ear.events
    assert [fields for _, event, fields in ear.lines if event == "left out"] == [
        {"kind": "project failed", "count": 480, "seconds": 61.0}
    ]


def test_lines_left_out_last_are_counted_at_the_end(ear: Ear) -> None:
    with ear.audience:
        for number in range(30):
            ear.audience.ended(
                Removed(name=project_name(f"project-{number}"), reason="removed upstream", wanted_serial=None)
            )
    assert [(event, fields.get("count")) for _, event, fields in ear.lines[-2:]] == [
        ("left out", 10),
        ("run ended", None),
    ]


def test_a_full_disk_is_one_trouble_for_all_projects(ear: Ear) -> None:
    for number in range(100):
        ear.fails(f"project-{number}", str(LowSpace(f"{number} MiB would leave too little")), reason="low_space")
    ear.succeeds("small")
    assert [(event, fields["where"]) for _, event, fields in ear.lines] == [("trouble", "space")]
    ear.succeeds("project-1", 1_000)
    assert ear.events == ["trouble", "trouble is over"]


def test_held_removals_are_an_event_of_their_own(ear: Ear) -> None:
    ear.fails("emptied", "emptied: 900 files would go", reason="held")
    assert ear.lines[0][:2] == ("warning", "removal held")


def test_few_failing_projects_are_remembered(ear: Ear) -> None:
    for number in range(12_000):
        ear.fails(f"project-{number}")
    assert len(ear.audience._failing) == 10_000


def test_progress_is_logged_ever_more_rarely_and_only_if_any(ear: Ear) -> None:
    for second in range(7200):
        ear.now = float(second)
        ear.succeeds("numpy", 10)
    told = [fields for _, event, fields in ear.lines if event == "progress"]
    assert [fields["seconds"] for fields in told[:6]] == [30.0, 60.0, 120.0, 240.0, 480.0, 600.0]
    assert len(told) < 20
    assert sum(fields["files"] for fields in told) > 6000
    ear.now += 6000
    ear.audience.published(Done(0, 0, 0, 0, None))
    ear.lines.clear()
    for _ in range(100):
        ear.now += 600
        ear.audience.queued(0)
        ear.audience.published(Done(0, 0, 0, 0, None))
    assert ear.lines == []


def test_observers_are_all_called_and_entered_all_or_none() -> None:
    class Unwilling(RunObserver):
        def __enter__(self) -> Self:
            raise OSError("no terminal")

    first, second = Ear(), Ear()
    with RunObservers(first.audience, second.audience) as both:
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
    third = Ear()
    with pytest.raises(OSError, match="no terminal"), RunObservers(third.audience, Unwilling()):
        pass
    assert third.events == ["run started", "run ended"]
