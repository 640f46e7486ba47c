"""Mirrors as the status page may meet them, as values: fresh, and in every kind of trouble."""

import msgspec

from mirrorsync.status.page_values import Audit, Bar, LastRun, Page, UnmetProject

NOW = 1_795_483_087.0
"""2026-11-24 01:18:07 UTC."""
SPAN = 7200.0
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202e\x00 & Æ"


def bars(*, outage: bool = False) -> tuple[Bar, ...]:
    """Return seven days, the first of which nobody wrote down."""
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


def fresh() -> Page:
    return Page(
        name="mirror.example.test",
        late_after=3600.0,
        upstream="https://index.test",
        version="0.1.0",
        generated_at=NOW,
        next_run_at=NOW + 55,
        simple_url="https://mirror.example.test/simple/",
        holds_all=True,
        holds_files=True,
        synced_serial=28_104_417,
        upstream_serial=28_104_417,
        complete_at=NOW - 5,
        polled_at=NOW - 5,
        projects=712_345,
        files=16_204_118,
        bytes=41_900_000_000_000,
        unmet_count=0,
        unmet=(),
        audit=Audit(began_at=NOW - 9 * 86400, done=212_345, ended_at=NOW - 9 * 86400),
        last_run=LastRun(
            started_at=NOW - 12,
            ended_at=NOW - 5,
            projects=34,
            files=120,
            bytes=310_000_000,
            errors=0,
            ended_early=False,
            needs_person=False,
        ),
        bars=bars(),
    )


def trouble() -> Page:
    """Return a mirror whose upstream is away, with projects that nobody would name like that."""
    unmet = (
        UnmetProject(
            name="numpy",
            reason="numpy-2.1.0.tar.gz: got sha256 3f9a2c, the index promises 77c2d1 (18.4 MiB, attempt 3 of 3)",
            attempts=3,
            next_attempt_at=NOW + 600,
        ),
        UnmetProject(
            name="a-project-with-a-name-that-does-not-end-" + "x" * 120,
            reason="https://files.index.test/packages/" + "0123456789abcdef" * 12 + "/file.whl: 403 Forbidden",
            attempts=12,
            next_attempt_at=NOW + 7200,
        ),
        UnmetProject(name=HOSTILE, reason=HOSTILE * 3, attempts=1, next_attempt_at=NOW - 1),
        UnmetProject(name="newcomer", reason="", attempts=0, next_attempt_at=0.0),
    )
    return msgspec.structs.replace(
        fresh(),
        name="pypi.a-rather-long-name-of-a-mirror-of-some-university.example.test",
        simple_url=None,
        synced_serial=28_080_001,
        complete_at=NOW - 26 * 3600 - 700,
        polled_at=NOW - 26 * 3600 - 640,
        unmet_count=1_234,
        unmet=unmet * 13,
        bars=bars(outage=True),
        next_run_at=None,
    )


def late() -> Page:
    return msgspec.structs.replace(
        trouble(), polled_at=NOW - 5, complete_at=NOW - 7400, unmet_count=2, unmet=trouble().unmet[:2], holds_all=False
    )


def empty() -> Page:
    """Return a mirror of an hour ago, of which nothing is known yet."""
    return msgspec.structs.replace(
        fresh(),
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
        audit=Audit(began_at=None, done=0, ended_at=None),
        last_run=None,
        bars=(),
    )


SAMPLES = {"fresh": fresh, "trouble": trouble, "late": late, "empty": empty}
