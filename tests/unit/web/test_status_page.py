"""The status page as bytes: what a browser makes of it is tests/browser's."""

import re
from html.parser import HTMLParser
from itertools import pairwise

import msgspec
import pytest

from mirrorsync.status.page import render
from mirrorsync.status.page_style import META_POLICY, STYLE
from mirrorsync.status.page_values import LastRun, Level, Page, UnmetProject, judge
from mirrorsync.status.page_words import clean, plain_moment
from tests.browser.samples import HOSTILE, NOW, SAMPLES, fresh, trouble

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


def elements(page: Page) -> Elements:
    return Elements(render(page).body.decode())


def replaced(page: Page, **values: object) -> Page:
    return msgspec.structs.replace(page, **values)


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_page_has_no_script_no_handler_and_nothing_from_elsewhere(sample: str) -> None:
    for tag, attributes in elements(SAMPLES[sample]()).found:
        assert tag in _ALLOWED_TAGS
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "src")]
        target = attributes.get("href") or ""
        assert not target or target.startswith(("../", "#", "data:image/svg+xml,")) or ":" not in target


def test_what_upstream_and_others_say_is_text_and_never_markup() -> None:
    page = replaced(
        trouble(),
        name=HOSTILE,
        upstream=f"https://{HOSTILE}",
        version=HOSTILE,
        simple_url=f"https://m.test/{HOSTILE}",
        unmet_count=1,
        unmet=(UnmetProject(name=HOSTILE, reason=HOSTILE, attempts=1, next_attempt_at=NOW),),
    )
    body = render(page).body.decode()
    assert "<script" not in body
    assert "<img" not in body
    assert "\x00" not in body
    assert "\u202e" not in body
    assert body.count("&lt;script&gt;alert(1)") >= 6
    assert {tag for tag, _ in elements(page).found} <= _ALLOWED_TAGS


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_same_values_make_the_same_bytes_and_few_of_them(sample: str) -> None:
    first, second = render(SAMPLES[sample]()), render(SAMPLES[sample]())
    assert first.body == second.body
    assert len(first.body) < 60_000


def test_a_thousand_long_troubles_make_no_long_page() -> None:
    row = UnmetProject(name="n" * 255, reason="&" * 100_000, attempts=9, next_attempt_at=1e300)
    page = replaced(trouble(), unmet_count=750_000, unmet=(row,) * 1000)
    body = render(page).body.decode()
    assert body.count("<li><h3>") == 50
    assert "749,950 other projects" in body
    assert len(body) < 140_000  # "&" is five bytes as text: the worst that 300 characters can be


def test_what_waits_for_its_first_turn_is_counted_and_not_listed_where_there_is_much_of_it() -> None:
    waiting = tuple(UnmetProject(name=f"p{n}", reason="", attempts=0, next_attempt_at=0.0) for n in range(100))
    body = render(replaced(fresh(), unmet_count=5000, unmet=waiting)).body.decode()
    assert "<li><h3>" not in body
    assert "5,000 projects to go" in body
    body = render(replaced(fresh(), unmet_count=2, unmet=waiting[:2])).body.decode()
    assert body.count("<li><h3>p") == 2


def test_the_pages_own_policy_allows_its_style_and_no_script() -> None:
    body = render(fresh()).body.decode()
    assert f"<style>{STYLE}</style>" in body
    assert f'content="{META_POLICY}"' in body
    assert "script-src" not in META_POLICY
    assert "unsafe" not in META_POLICY
    assert META_POLICY.startswith("default-src 'none'; style-src 'sha256-")
    assert body.index("Content-Security-Policy") < body.index("<style>")


@pytest.mark.parametrize(
    ("values", "level", "headline"),
    [
        ({}, Level.FRESH, "Up to date"),
        ({"polled_at": None, "complete_at": None}, Level.LATE, "Not begun yet"),
        ({"polled_at": NOW - 3700}, Level.TROUBLE, "Out of touch with upstream"),
        ({"complete_at": None}, Level.LATE, "Being filled"),
        ({"complete_at": NOW - 7200}, Level.LATE, "Behind by 2 hours"),
        ({"unmet_count": 1}, Level.LATE, "Up to date, but for 1 project"),
        ({"unmet_count": 7123, "complete_at": NOW - 90_000}, Level.LATE, "Up to date, but for 7,123 projects"),
        ({"unmet_count": 7124, "complete_at": NOW - 7260}, Level.LATE, "Behind by 2 hours 1 minute"),
        ({"unmet_count": 7124, "complete_at": NOW - 90_000}, Level.TROUBLE, "Behind by 1 day 1 hour"),
    ],
)
def test_the_headline_is_the_worst_that_is_true(values: dict[str, object], level: Level, headline: str) -> None:
    verdict = judge(replaced(fresh(), **values))
    assert (verdict.level, verdict.headline) == (level, headline)
    body = render(replaced(fresh(), **values)).body.decode()
    assert f'<section class="state {level.value}"' in body
    assert f"<title>{headline} · " in body


def test_a_run_that_only_a_person_can_mend_is_said_first_and_its_words_are_not_published() -> None:
    last = fresh().last_run
    assert isinstance(last, LastRun)
    halted = replaced(fresh(), last_run=msgspec.structs.replace(last, ended_early=True, needs_person=True))
    assert judge(halted).headline == "Stopped by a fault"
    early = replaced(fresh(), last_run=msgspec.structs.replace(last, ended_early=True))
    assert judge(early).headline == "Up to date"


def test_the_addresses_to_copy_are_the_mirrors_own_or_a_placeholder_that_is_explained() -> None:
    told = " ".join(elements(fresh()).words)
    assert "pip install --index-url https://mirror.example.test/simple/ PROJECT" in told
    assert "THIS-MIRROR" not in told
    untold = " ".join(elements(replaced(fresh(), simple_url=None)).words)
    assert "https://THIS-MIRROR/simple/" in untold
    assert "address bar" in untold
    plain = " ".join(elements(replaced(fresh(), simple_url="http://10.0.0.1:8080/simple/")).words)
    assert "--trusted-host 10.0.0.1:8080" in plain


def test_every_chart_has_a_title_a_description_and_its_numbers_as_a_table() -> None:
    page = elements(fresh())
    charts = [attributes for tag, attributes in page.found if tag == "svg" and attributes.get("role") == "img"]
    names = {attributes["id"] for tag, attributes in page.found if tag in ("title", "desc") and "id" in attributes}
    assert len(charts) == 3
    for chart in charts:
        assert set((chart["aria-labelledby"] or "").split()) <= names
    rows = [tag for tag, attributes in page.found if tag == "th" and attributes.get("scope") == "row"]
    assert len(rows) == 8  # seven days end in an eighth


def test_what_nobody_wrote_down_is_grey_and_a_dash_and_not_nothing() -> None:
    body = render(fresh()).body.decode()
    assert 'class="unknown" d="M0,0h90v100h-90z"' in body
    assert "Grey: not written down." in body
    bare = replaced(fresh(), bars=tuple(msgspec.structs.replace(bar, lag=None) for bar in fresh().bars))
    assert "Nothing is written down yet." in render(bare).body.decode()


def test_headings_go_down_one_step_at_a_time() -> None:
    for sample in SAMPLES.values():
        levels = [int(tag[1]) for tag, _ in elements(sample()).found if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(later - earlier <= 1 for earlier, later in pairwise(levels))


def test_moments_and_texts_are_cut_to_what_a_page_can_say() -> None:
    assert plain_moment(NOW) == "2026-11-24 01:18:07 UTC"
    assert plain_moment(1e300).startswith("9999-12-31")
    assert clean("a" * 400).endswith("a…")
