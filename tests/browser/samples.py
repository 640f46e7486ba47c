"""Mirrors that the status page may show: complete, and in every kind of trouble."""

from typing import Any

import msgspec

from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.state.audit import AuditReport
from mirrorsync.state.report import Report, RunRow, Unmet
from mirrorsync.status.charts import Bar
from mirrorsync.status.health import judge
from mirrorsync.status.host import DiskSpace, Host
from mirrorsync.status.page import render
from mirrorsync.status.snapshot import Site, Snapshot

NOW = 1_795_483_087.0
"""2026-11-24 01:18:07 UTC."""
SPAN = 7200.0
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202e\x00 & Æ"


class Sample(msgspec.Struct, frozen=True):
    """A mirror and its last days."""

    snapshot: Snapshot
    bars: tuple[Bar, ...]

    def render(self) -> bytes:
        return render(self.snapshot, judge(self.snapshot), self.bars)

    def but(self, *, bars: tuple[Bar, ...] | None = None, **facts: Any) -> "Sample":
        """Return the sample with other `bars`, or other facts of its snapshot, report or site."""
        kinds = {
            "snapshot": {key: facts[key] for key in facts if key in Snapshot.__struct_fields__},
            "report": {key: facts[key] for key in facts if key in Report.__struct_fields__},
            "site": {key: facts[key] for key in facts if key in Site.__struct_fields__},
        }
        assert sum(map(len, kinds.values())) == len(facts)
        replace = msgspec.structs.replace
        snapshot = replace(
            self.snapshot,
            **kinds["snapshot"],
            report=replace(self.snapshot.report, **kinds["report"]),
            site=replace(self.snapshot.site, **kinds["site"]),
        )
        return Sample(snapshot, self.bars if bars is None else bars)


def unmet(name: str, reason: str | None, attempts: int, next_attempt_at: float) -> Unmet:
    return Unmet(
        name=ProjectName(name),
        wanted=Serial(2),
        mirrored=Serial(1),
        attempts=attempts,
        next_attempt_at=next_attempt_at,
        error=reason,
        hint=None,
    )


def bars(*, outage: bool = False) -> tuple[Bar, ...]:
    """Return seven days, the first of which is not recorded."""
    newest = int(NOW // SPAN)
    found = []
    for place in range(84):
        number = newest - 83 + place
        lag = None if place < 9 else 62.0 + (place * 37) % 60
        if place == 40:
            lag = 1900.0
        if outage and place > 70:
            lag = (place - 70) * SPAN
        files = 0 if outage and place > 70 else 700 + (place * 577) % 900
        found.append(
            Bar(
                starts_at=number * SPAN,
                lag=lag,
                is_recorded=place >= 9,
                files=files,
                bytes=files * 2_300_000,
                errors=place % 7 // 5,
            )
        )
    return tuple(found)


def fresh() -> Sample:
    report = Report(
        upstream="https://index.test",
        synced_serial=Serial(28_104_417),
        newest_serial=Serial(28_104_417),
        upstream_serial=Serial(28_104_417),
        has_journal=True,
        polled_at=NOW - 5,
        complete_at=NOW - 5,
        projects=712_345,
        files=16_204_118,
        bytes=41_900_000_000_000,
        condemned=0,
        audit=AuditReport(began_at=NOW - 9 * 86400, done=212_345, audited_at=NOW - 9 * 86400, list_read_at=None),
        unmet_count=0,
        unmet=(),
        runs=(RunRow(NOW - 12, NOW - 5, Serial(28_104_417), 34, 120, 310_000_000, 0, None),),
    )
    site = Site(name="mirror.example.test", simple_url="https://mirror.example.test/simple/")
    host = Host(at_work=True, process="77", disks=(DiskSpace("/srv/pypi", 1 << 44, 1 << 46, 1 << 30),))
    snapshot = Snapshot(at=NOW, report=report, host=host, site=site, next_poll_at=NOW + 55)
    return Sample(snapshot, bars())


def trouble() -> Sample:
    """Return a mirror whose upstream is away, with projects whose names and errors are hard to show."""
    long_path = "https://files.index.test/packages/" + "0123456789abcdef" * 12 + "/file.whl: 403 Forbidden"
    wrong = "numpy-2.1.0.tar.gz: got sha256 3f9a2c, the index promises 77c2d1 (18.4 MiB, attempt 3 of 3)"
    rows = (
        unmet("numpy", wrong, 3, NOW + 600),
        unmet("a-project-with-a-name-that-does-not-end-" + "x" * 120, long_path, 12, NOW + 7200),
        unmet(HOSTILE, HOSTILE * 3, 1, NOW - 1),
        unmet("newcomer", None, 0, 0.0),
    )
    return fresh().but(
        name="pypi.a-rather-long-name-of-a-mirror-of-some-university.example.test",
        simple_url=None,
        synced_serial=Serial(28_080_001),
        complete_at=NOW - 26 * 3600 - 700,
        polled_at=NOW - 26 * 3600 - 640,
        unmet_count=1_234,
        unmet=rows * 13,
        bars=bars(outage=True),
        next_poll_at=None,
    )


def late() -> Sample:
    rows = trouble().snapshot.report.unmet[:2]
    return trouble().but(polled_at=NOW - 5, complete_at=NOW - 7400, unmet_count=2, unmet=rows, holds_all=False)


def empty() -> Sample:
    """Return a mirror that began an hour ago and has nothing yet."""
    return fresh().but(
        simple_url="http://127.0.0.1:8080/simple/",
        complete_at=None,
        polled_at=NOW,
        synced_serial=None,
        upstream_serial=None,
        projects=0,
        files=0,
        bytes=0,
        holds_files=False,
        unmet_count=712_345,
        audit=AuditReport(began_at=None, done=0, audited_at=None, list_read_at=None),
        runs=(),
        bars=(),
    )


SAMPLES = {"fresh": fresh, "trouble": trouble, "late": late, "empty": empty}
