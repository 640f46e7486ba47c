"""The public status page: static, one file, no script. Pure: the same values make the same bytes.

`templates/status.html` is the page, `templates/status.css` its style. Text from upstream is only ever text (I8): it is
shortened and made printable here, and escaped by the template.
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from mirrorsync import __version__
from mirrorsync.model.units import format_size
from mirrorsync.model.wording import counted, lasting, printable, unbroken, utc
from mirrorsync.state.report import Report, Unmet
from mirrorsync.status.charts import Bar, charts, day, days, usual_lag
from mirrorsync.status.health import Health
from mirrorsync.status.public import all_well, public_texts
from mirrorsync.status.snapshot import Snapshot

if TYPE_CHECKING:
    from jinja2 import Template

_TEMPLATES: Final = Path(__file__).parent / "templates"
_TEXT_LIMIT: Final = 300
"""Characters of a text from upstream or from the configuration."""
_URL_LIMIT: Final = 2000
_NAMED: Final = 50
"""Unmet projects that the page names; status.json has more."""
_OPEN: Final = 8
"""Those that are visible without unfolding the rest."""


class _Fact(msgspec.Struct, frozen=True):
    term: str
    value: str | float
    """A text, or a moment in seconds since the epoch."""
    note: str


class _UnmetView(msgspec.Struct, frozen=True):
    name: str
    reason: str
    tried: str
    next_attempt_at: float | None
    """None: now, or not tried yet."""


def render(snapshot: Snapshot, health: Health, bars: Sequence[Bar]) -> bytes:
    """Return the page as UTF-8, some 20 to 50 KB for a mirror of any size; `bars`: the last days."""
    report, site = snapshot.report, snapshot.site
    texts = tuple(public_texts(snapshot, health).values()) or (all_well(snapshot, health),)
    named = [_unmet_view(row, snapshot.at) for row in _named(report)]
    values: dict[str, Any] = {
        "csp": style_policy(),
        "style": style(),
        "level": health.level.name.lower(),
        "headline": texts[0].headline,
        "sentences": [text.sentence for text in texts],
        "name": printable(site.name, _TEXT_LIMIT),
        "upstream": printable(report.upstream.partition("://")[2] or report.upstream, _TEXT_LIMIT),
        "version": printable(__version__, _TEXT_LIMIT),
        "at": snapshot.at,
        "has_daemon": snapshot.next_poll_at is not None,
        "facts": list(_facts(snapshot, bars)),
        "site": site,
        "url": printable(site.simple_url or "https://THIS-MIRROR/simple/", _URL_LIMIT),
        "insecure_host": _insecure_host(site.simple_url),
        "open": named[:_OPEN],
        "folded": named[_OPEN:],
        "unnamed": _unnamed(report.unmet_count - len(named), named),
        "charts": charts(bars),
        "days": list(days(bars)),
        "first_day": day(bars[0].starts_at) if bars else "",
        "last_day": day(snapshot.at),
    }
    return _template().render(values).encode()


@cache
def style() -> str:
    """Return the page's style sheet."""
    return (_TEMPLATES / "status.css").read_text()


@cache
def style_policy() -> str:
    """Return the page's Content-Security-Policy: this style, no script, nothing from other hosts.

    `frame-ancestors` counts only as a header: docs/nginx and `mirrorsync serve` send one.
    """
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode("ascii")
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"


@cache
def _template() -> "Template":
    import jinja2  # noqa: PLC0415 -- 30 ms, and only a process that publishes a page needs it

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["utc"] = utc
    return environment.get_template("status.html")


def _facts(snapshot: Snapshot, bars: Sequence[Bar]) -> Iterator[_Fact]:
    """Yield how fresh, how complete and how fast the mirror is: one figure each, and what it means."""
    report, site, now = snapshot.report, snapshot.site, snapshot.at
    if report.complete_at is None:
        yield _Fact("Last complete", "never yet", "the first sync is under way")
    else:
        yield _Fact("Last complete", report.complete_at, f"{lasting(now - report.complete_at)} before this page")
    if report.polled_at is not None:
        again = "asked again by the next run"
        if snapshot.next_poll_at is not None:
            again = f"asked again at about {utc(snapshot.next_poll_at, '%H:%M:%S UTC')}"
        yield _Fact("Upstream last asked", report.polled_at, again)
    yield _serial(report)
    selected = "all that upstream has" if site.holds_all else "a selection of what upstream has"
    yield _Fact("Projects", f"{report.projects:,}", selected)
    if site.holds_files:
        yield _Fact("Files", f"{report.files:,}", f"{unbroken(format_size(report.bytes))} in all")
    unmet = counted(report.unmet_count, "project")
    yield _Fact("Not as upstream has it", unmet, "see below" if report.unmet_count else "nothing is missing")
    yield _audit(report)
    if report.newest_work is not None:
        yield _last_run(report, has_daemon=snapshot.next_poll_at is not None)
    if (usual := usual_lag(bars)) is not None:
        yield _Fact("Usually behind by", lasting(usual), "at the worst moment of two hours (median of the last days)")


def _serial(report: Report) -> _Fact:
    if report.synced_serial is None:
        return _Fact("Serial", "unknown", "upstream has no serials")
    behind = max(0, (report.upstream_serial or 0) - report.synced_serial)
    ahead = f"upstream is {counted(behind, 'serial')} ahead" if behind else "upstream has nothing newer"
    return _Fact("Serial", f"{report.synced_serial:,}", f"all up to it is served; {ahead}")


def _audit(report: Report) -> _Fact:
    audit = report.audit
    ended = "no round finished yet" if audit.audited_at is None else f"the last round ended {day(audit.audited_at)}"
    if audit.began_at is None:
        return _Fact("Checked against upstream", "not begun", ended)
    share = min(100, 100 * audit.done // max(1, report.projects))
    return _Fact("Checked against upstream", f"{share} %", f"{counted(audit.done, 'project')} in this round; {ended}")


def _last_run(report: Report, *, has_daemon: bool) -> _Fact:
    run = report.newest_work or report.runs[0]
    note = f"{counted(run.files, 'file')}, {unbroken(format_size(run.bytes))}"
    note += f", {run.errors:,} failed" if run.errors else ""
    note += "" if has_daemon else f" in {lasting(run.ended_at - run.started_at)}"
    return _Fact("Last run", counted(run.projects, "project"), note)


def _named(report: Report) -> list[Unmet]:
    """Return the unmet projects to name: all where they are few, else those whose last attempt failed."""
    shown = report.unmet[:_NAMED]
    return [row for row in shown if row.attempts or report.unmet_count <= _NAMED]


def _unnamed(rest: int, named: Sequence[_UnmetView]) -> str:
    return counted(rest, "other project" if named else "project") if rest else ""


def _unmet_view(row: Unmet, now: float) -> _UnmetView:
    is_due = row.next_attempt_at <= now
    tried = "Not tried yet."
    if row.attempts:
        tried = f"Tried {counted(row.attempts, 'time')}; {'due now.' if is_due else 'tried again at'}"
    return _UnmetView(
        name=printable(row.name, _TEXT_LIMIT),
        reason=printable(row.error, _TEXT_LIMIT) if row.error else "It waits for its turn.",
        tried=tried,
        next_attempt_at=row.next_attempt_at if row.attempts and not is_due else None,
    )


def _insecure_host(url: str | None) -> str | None:
    """Return the host that pip must be told to trust, because the mirror's address is not HTTPS."""
    return printable(urlsplit(url).netloc, _TEXT_LIMIT) if url is not None and url.startswith("http:") else None
