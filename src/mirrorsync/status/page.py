"""The mirror's own page, for people: static, one file, no script. Pure: values in, bytes out.

The same values make the same bytes. What comes from upstream is text here and nothing else (I8).
"""

from collections.abc import Iterator

import msgspec

from mirrorsync.status import page_charts as charts
from mirrorsync.status.page_sections import facts, other_places, unmet_projects
from mirrorsync.status.page_style import META_POLICY, STYLE, favicon, icon
from mirrorsync.status.page_usage import how_to_use
from mirrorsync.status.page_values import Page, Verdict, judge
from mirrorsync.status.page_words import clean, moment


class Rendered(msgspec.Struct, frozen=True):
    """The page, and what it says in one word."""

    body: bytes
    verdict: Verdict


def render(page: Page) -> Rendered:
    """Return the page as UTF-8, some 20 to 50 KB whatever the mirror holds."""
    verdict = judge(page)
    body = "\n".join((*_head(page, verdict), *_body(page, verdict), "</html>", ""))
    return Rendered(body=body.encode("utf-8", "replace"), verdict=verdict)


def _head(page: Page, verdict: Verdict) -> Iterator[str]:
    yield "<!DOCTYPE html>"
    yield '<html lang="en">'
    yield "<head>"
    yield '<meta charset="utf-8">'
    # Before anything that it rules. `frame-ancestors` counts only as a header: docs/nginx and `mirrorsync serve`.
    yield f'<meta http-equiv="Content-Security-Policy" content="{META_POLICY}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="color-scheme" content="light dark">'
    yield '<meta name="referrer" content="no-referrer">'
    yield f"<title>{clean(verdict.headline)} · {clean(page.name)}</title>"
    yield f'<link rel="icon" href="{favicon(verdict.level)}">'
    yield f"<style>{STYLE}</style>"
    yield "</head>"


def _body(page: Page, verdict: Verdict) -> Iterator[str]:
    yield '<body><a class="skip" href="#content">Skip to the content</a>'
    yield f'<header><p class="kind">Mirror of {_upstream(page)}</p><h1>{clean(page.name)}</h1></header>'
    yield '<main id="content">'
    yield from _state(page, verdict)
    yield from facts(page)
    yield from how_to_use(page)
    yield from unmet_projects(page)
    yield from charts.section(page.bars, page.generated_at)
    yield from other_places(page)
    yield "</main>"
    yield f"<footer><p>Written by mirrorsync {clean(page.version)}.</p></footer>"
    yield "</body>"


def _upstream(page: Page) -> str:
    return clean(page.upstream.partition("://")[2] or page.upstream)


def _state(page: Page, verdict: Verdict) -> Iterator[str]:
    yield f'<section class="state {verdict.level.value}" aria-labelledby="state">'
    yield icon(verdict.level)
    yield f'<div><h2 id="state">{clean(verdict.headline)}</h2><p>{clean(verdict.sentence)}</p>'
    yield f'<p class="small">As of {moment(page.generated_at)}, when this page was written. {_renewal(page)}</p>'
    yield "</div></section>"


def _renewal(page: Page) -> str:
    if page.next_run_at is None:
        return "It is written anew at the end of every run."
    return "It is written anew every few minutes: if that time is half an hour ago, the mirror has stopped."
