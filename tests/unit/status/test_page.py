"""The status page as bytes; tests/browser opens it in a browser."""

import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from mirrorsync.model.wording import utc
from mirrorsync.status.page import style, style_policy
from tests.browser.samples import HOSTILE, NOW, SAMPLES, Sample, fresh, trouble, unmet

_TAGS = """html head meta title link style body a header p h1 h2 h3 main section svg path circle div dl dt dd small time
code pre ul li figure figcaption strong desc details summary table caption thead tbody tr th td footer span"""
_ALLOWED_TAGS = frozenset(_TAGS.split())


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def elements(sample: Sample) -> Elements:
    return Elements(sample.render().decode())


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_page_has_no_script_and_nothing_from_other_hosts(sample: str) -> None:
    for tag, attributes in elements(SAMPLES[sample]()).found:
        assert tag in _ALLOWED_TAGS
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "src")]
        target = attributes.get("href") or ""
        assert not target or target.startswith(("../", "#", "data:image/svg+xml,")) or ":" not in target


def test_text_from_upstream_is_never_markup() -> None:
    sample = trouble().but(
        name=HOSTILE,
        upstream=f"https://{HOSTILE}",
        simple_url=f"https://m.test/{HOSTILE}",
        unmet_count=1,
        unmet=(unmet(HOSTILE, HOSTILE, 1, NOW),),
    )
    body = sample.render().decode()
    assert "<script" not in body
    assert "<img" not in body
    assert "\x00" not in body
    assert "\u202e" not in body
    assert body.count("&lt;script&gt;alert(1)") >= 6
    assert {tag for tag, _ in elements(sample).found} <= _ALLOWED_TAGS


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_same_values_make_the_same_few_bytes(sample: str) -> None:
    first, second = SAMPLES[sample]().render(), SAMPLES[sample]().render()
    assert first == second
    assert first.startswith(b"<!DOCTYPE html>\n")
    assert len(first) < 60_000


def test_many_long_errors_make_no_long_page() -> None:
    row = unmet("n" * 255, "&" * 100_000, 9, 1e300)
    body = trouble().but(unmet_count=750_000, unmet=(row,) * 1000).render().decode()
    assert body.count("<li><h3>") == 50
    assert "749,950 other projects" in body
    assert len(body) < 140_000  # "&" is five bytes as text: the worst that 300 characters can be


def test_untried_projects_are_only_counted_where_there_are_many() -> None:
    waiting = tuple(unmet(f"p{n}", None, 0, 0.0) for n in range(100))
    body = fresh().but(unmet_count=5000, unmet=waiting).render().decode()
    assert "<li><h3>" not in body
    assert "5,000 projects to go" in body
    body = fresh().but(unmet_count=2, unmet=waiting[:2]).render().decode()
    assert body.count("<li><h3>p") == 2


def test_the_pages_own_policy_allows_its_style_and_no_script() -> None:
    body = fresh().render().decode()
    assert f"<style>{style()}</style>" in body
    assert f'content="{style_policy()}"' in body
    assert "script-src" not in style_policy()
    assert "unsafe" not in style_policy()
    assert style_policy().startswith("default-src 'none'; style-src 'sha256-")
    assert body.index("Content-Security-Policy") < body.index("<style>")


@pytest.mark.parametrize(
    ("facts", "level", "headline"),
    [
        ({}, "ok", "Up to date"),
        ({"polled_at": None, "complete_at": None}, "critical", "Not begun yet"),
        ({"polled_at": NOW - 3700, "complete_at": NOW - 3700}, "warning", "Out of touch with upstream"),
        ({"polled_at": NOW - 90_000, "complete_at": NOW - 90_000}, "critical", "Out of touch with upstream"),
        ({"complete_at": None, "unmet_count": 7, "unmet": ()}, "critical", "Being filled"),
        ({"complete_at": NOW - 7200, "unmet_count": 3}, "warning", "Behind by 2 hours"),
        ({"unmet_count": 7124, "complete_at": NOW - 7260}, "warning", "Behind by 2 hours 1 minute"),
        ({"unmet_count": 7124, "complete_at": NOW - 90_000}, "critical", "Behind by 1 day 1 hour"),
        ({"unmet_count": 1, "unmet": (unmet("numpy", "no", 1, 0.0),)}, "warning", "Up to date, but for 1 project"),
    ],
)
def test_the_headline_is_that_of_the_worst_reason(facts: dict[str, Any], level: str, headline: str) -> None:
    body = fresh().but(**facts).render().decode()
    assert f'<section class="state {level}"' in body
    assert f"<title>{headline} · " in body
    assert f'<h2 id="state">{headline}</h2>' in body


def test_a_halt_is_shown_first_and_its_message_is_not_published() -> None:
    last = fresh().snapshot.report.runs[0]
    halted = msgspec.structs.replace(last, note="/srv/pypi: read-only", needs_person=True)
    body = fresh().but(runs=(halted,)).render().decode()
    assert "Recovering from a fault" in body
    assert "read-only" not in body
    passing = msgspec.structs.replace(last, note="no connection")
    assert "<title>Up to date · " in fresh().but(runs=(passing,)).render().decode()


def test_the_addresses_to_copy_are_the_mirrors_own_or_a_placeholder() -> None:
    known = " ".join(elements(fresh()).words)
    assert "pip install --index-url https://mirror.example.test/simple/ PROJECT" in known
    assert "THIS-MIRROR" not in known
    unknown = " ".join(elements(fresh().but(simple_url=None)).words)
    assert "https://THIS-MIRROR/simple/" in unknown
    assert "browser's address" in unknown
    insecure = " ".join(elements(fresh().but(simple_url="http://10.0.0.1:8080/simple/")).words)
    assert "--trusted-host 10.0.0.1:8080" in insecure


def test_every_chart_has_a_title_a_description_and_a_table() -> None:
    page = elements(fresh())
    charts = [attributes for tag, attributes in page.found if tag == "svg" and attributes.get("role") == "img"]
    names = {attributes["id"] for tag, attributes in page.found if tag in ("title", "desc") and "id" in attributes}
    assert len(charts) == 3
    for chart in charts:
        assert set((chart["aria-labelledby"] or "").split()) <= names
    rows = [tag for tag, attributes in page.found if tag == "th" and attributes.get("scope") == "row"]
    assert len(rows) == 8  # seven days end in an eighth


def test_what_is_not_recorded_is_grey_and_a_dash() -> None:
    body = fresh().render().decode()
    assert 'class="unknown" d="M0,0h90v100h-90z"' in body
    assert "Grey: not recorded." in body
    bare = tuple(msgspec.structs.replace(bar, lag=None) for bar in fresh().bars)
    assert "Nothing is recorded yet." in fresh().but(bars=bare).render().decode()


def test_headings_go_down_one_step_at_a_time() -> None:
    for sample in SAMPLES.values():
        levels = [int(tag[1]) for tag, _ in elements(sample()).found if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(later - earlier <= 1 for earlier, later in pairwise(levels))


def test_times_and_texts_are_cut_to_what_a_page_can_show() -> None:
    assert utc(NOW) == "2026-11-24 01:18:07 UTC"
    assert utc(1e300).startswith("9999-12-31")
    assert f"<h1>{'a' * 299}…</h1>" in fresh().but(name="a" * 400).render().decode()
