"""How complete the mirror is, what is behind and why, and where machines read the same. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from mirrorsync.model.units import format_size
from mirrorsync.model.wording import counted, lasting
from mirrorsync.status.page_values import Page, UnmetProject
from mirrorsync.status.page_words import clean, day, moment, plain_moment, unbroken

_NAMED: Final = 50
"""Unmet projects that the page names; status.json has more."""
_OPEN: Final = 8
"""Of these, those that are seen without unfolding the rest."""
_PLACES: Final = (
    ("../simple/", "simple/", "the index itself"),
    ("status.json", "mirrorsync/status.json", "all that stands here, for programs"),
    ("trace.json", "mirrorsync/trace.json", "from which mirror to which all this came, and when"),
    ("history.json", "mirrorsync/history.json", "how far behind this mirror was in the last days"),
    ("tunasync.json", "mirrorsync/tunasync.json", "the same as a tunasync job, for mirror sites' front pages"),
    ("../lastsync", "lastsync", "the time of the last complete sync, in seconds since 1970"),
    ("../last-modified", "last-modified", "the same time, as mirror tools write it"),
)


def facts(page: Page) -> Iterator[str]:
    """How fresh, how complete, how fast: one number each, and what it means."""
    yield '<section aria-labelledby="facts"><h2 id="facts">The mirror in numbers</h2><dl class="facts">'
    for term, value, note in _facts(page):
        yield f"<div><dt>{term}</dt><dd>{value}<small>{note}</small></dd></div>"
    yield "</dl></section>"


def _facts(page: Page) -> Iterator[tuple[str, str, str]]:
    """Yield (term, value, note): HTML."""
    if page.complete_at is None:
        yield "Last complete", "never yet", "the first filling is under way"
    else:
        yield (
            "Last complete",
            moment(page.complete_at),
            f"{lasting(page.generated_at - page.complete_at)} before this page",
        )
    if page.polled_at is not None:
        following = "" if page.next_run_at is None else f"asked again at about {plain_moment(page.next_run_at)[11:]}"
        yield "Upstream last asked", moment(page.polled_at), following or "asked again by the next run"
    yield "Serial", *_serial(page)
    yield "Projects", f"{page.projects:,}", _selected(page)
    if page.holds_files:
        yield "Files", f"{page.files:,}", f"{unbroken(format_size(page.bytes))} in all"
    yield (
        "Not as upstream has it",
        counted(page.unmet_count, "project"),
        "see below" if page.unmet_count else "nothing is owed",
    )
    yield "Checked against upstream", *_audit(page)
    if page.last_run is not None:
        run = page.last_run
        did = f"{counted(run.files, 'file')}, {unbroken(format_size(run.bytes))}"
        did += f", {run.errors:,} failed" if run.errors else ""
        took = "" if page.next_run_at is not None else f" in {lasting(run.ended_at - run.started_at)}"
        yield "Last run", f"{counted(run.projects, 'project')}", did + took
    if (usual := _usual_lag(page)) is not None:
        yield "Usually behind by", lasting(usual), "at the worst moment of two hours (median of the last days)"


def _serial(page: Page) -> tuple[str, str]:
    if page.synced_serial is None:
        return "unknown", "upstream tells none that could be claimed"
    behind = 0 if page.upstream_serial is None else max(0, page.upstream_serial - page.synced_serial)
    ahead = f"upstream is {counted(behind, 'serial')} ahead" if behind else "upstream has nothing newer"
    return f"{page.synced_serial:,}", f"all up to it is served; {ahead}"


def _selected(page: Page) -> str:
    return "all that upstream has" if page.holds_all else "a selection of what upstream has"


def _audit(page: Page) -> tuple[str, str]:
    audit = page.audit
    ended = "no whole round yet" if audit.ended_at is None else f"the last whole one ended {day(audit.ended_at)}"
    if audit.began_at is None:
        return "not begun", ended
    share = min(100, 100 * audit.done // max(1, page.projects))
    return f"{share} %", f"{counted(audit.done, 'project')} in this round; {ended}"


def _usual_lag(page: Page) -> float | None:
    lags = sorted(bar.lag for bar in page.bars if bar.lag is not None)
    return lags[len(lags) // 2] if lags else None


def unmet_projects(page: Page) -> Iterator[str]:
    """Tell what is not as upstream has it, why, and when it is tried again."""
    if not page.unmet_count:
        return
    yield '<section aria-labelledby="unmet"><h2 id="unmet">Not yet as upstream has it</h2>'
    named = [each for each in page.unmet[:_NAMED] if each.attempts or page.unmet_count <= _NAMED]
    if named:
        yield from _listed(page, named[:_OPEN])
    if folded := named[_OPEN:]:
        yield f"<details><summary>{len(folded):,} more</summary>"
        yield from _listed(page, folded)
        yield "</details>"
    if rest := page.unmet_count - len(named):
        words = counted(rest, "other project" if named else "project")
        yield f'<p>{words} to go: <a href="status.json">status.json</a> names up to 1,000.</p>'
    yield "</section>"


def _listed(page: Page, projects: Sequence[UnmetProject]) -> Iterator[str]:
    yield '<ul class="unmet">'
    for project in projects:
        yield f"<li><h3>{clean(project.name)}</h3><p>{_reason(project)}</p>"
        yield f'<p class="small">{_next(page, project)}</p></li>'
    yield "</ul>"


def _reason(project: UnmetProject) -> str:
    return clean(project.reason) if project.reason else "It waits for its turn."


def _next(page: Page, project: UnmetProject) -> str:
    if not project.attempts:
        return "Not tried yet."
    when = (
        "due now"
        if project.next_attempt_at <= page.generated_at
        else f"tried again at {moment(project.next_attempt_at)}"
    )
    return f"Tried {counted(project.attempts, 'time')}; {when}."


def other_places(page: Page) -> Iterator[str]:
    """Where machines read the same."""
    del page
    yield '<section aria-labelledby="machines"><h2 id="machines">For machines</h2><ul class="places">'
    for address, shown, what in _PLACES:
        yield f'<li><a href="{address}"><code>{shown}</code></a> {what}</li>'
    yield "</ul></section>"
