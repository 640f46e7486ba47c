"""The status page in a browser: phone and desktop, light and dark, keyboard and screen reader.

With MIRRORSYNC_SCREENSHOTS=DIRECTORY a screenshot of each page is written there.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import Chromium, Scheme
from tests.browser.samples import SAMPLES

PHONE, DESK = 390, 1280
RUN_AXE = "axe.run(document, {resultTypes: ['violations', 'incomplete']})"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pages")
    for name, sample in SAMPLES.items():
        (directory / f"{name}.html").write_bytes(sample().render())
    return directory


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("sample", SAMPLES)
def test_axe_finds_no_violation(
    browser: Chromium, axe: str, pages: Path, sample: str, width: int, scheme: Scheme
) -> None:
    browser.open((pages / f"{sample}.html").as_uri(), width=width, scheme=scheme)
    browser.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    browser.evaluate(f"{axe}; 0")
    found = browser.evaluate(RUN_AXE)
    assert [described(each) for each in found["violations"]] == []
    # "incomplete" is what axe cannot decide, such as contrast over an image.
    assert [described(each) for each in found["incomplete"]] == []


def described(finding: dict[str, Any]) -> tuple[str, list[str]]:
    return finding["id"], [node["html"][:120] for node in finding["nodes"]]


def test_axe_would_find_a_violation(browser: Chromium, axe: str, pages: Path) -> None:
    body = (pages / "fresh.html").read_text()
    (pages / "bad.html").write_text(body.replace('lang="en"', "").replace("--quiet: #545c64", "--quiet: #aaaaaa"))
    assert "--quiet: #aaaaaa" in (pages / "bad.html").read_text()
    browser.open((pages / "bad.html").as_uri(), width=DESK, scheme="light")
    browser.evaluate(f"{axe}; 0")
    assert "html-has-lang" in [each["id"] for each in browser.evaluate(RUN_AXE)["violations"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, PHONE, DESK])
@pytest.mark.parametrize("sample", SAMPLES)
def test_page_fits_the_screen_in_the_requested_colours(
    browser: Chromium, pages: Path, sample: str, width: int, scheme: Scheme
) -> None:
    browser.open((pages / f"{sample}.html").as_uri(), width=width, scheme=scheme)
    keep(browser, f"{sample}-{width}-{scheme}.png")
    browser.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(246, 246, 243)", "dark": "rgb(20, 23, 26)"}[scheme]


def keep(browser: Chromium, name: str) -> None:
    if directory := os.environ.get("MIRRORSYNC_SCREENSHOTS"):
        Path(directory).mkdir(parents=True, exist_ok=True)
        browser.screenshot(Path(directory) / name)


@pytest.mark.parametrize("sample", SAMPLES)
def test_page_requests_nothing_and_violates_no_policy_of_its_own(browser: Chromium, pages: Path, sample: str) -> None:
    address = (pages / f"{sample}.html").as_uri()
    browser.open(address, width=DESK, scheme="light")
    assert [url for url in browser.requests() if not url.startswith("data:")] == [address]
    assert browser.complaints() == []


def test_injected_script_does_not_run(browser: Chromium, pages: Path) -> None:
    body = (pages / "fresh.html").read_text()
    evil = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
    (pages / "evil.html").write_text(body.replace("</main>", f"{evil}</main>"))
    browser.open((pages / "evil.html").as_uri(), width=DESK, scheme="light")
    assert browser.evaluate("document.title") == "Up to date · mirror.example.test"
    assert any("Content Security Policy" in text for text in browser.complaints())


def test_first_tab_key_skips_the_header(browser: Chromium, pages: Path) -> None:
    browser.open((pages / "fresh.html").as_uri(), width=DESK, scheme="light")
    browser.press("Tab")
    assert browser.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert browser.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    browser.press("Tab")
    assert browser.evaluate("document.activeElement.closest('main') !== null")
    assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_screen_reader_gets_headings_regions_and_charts(browser: Chromium, pages: Path) -> None:
    browser.open((pages / "trouble.html").as_uri(), width=PHONE, scheme="light")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    said = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]
    assert ("heading", "Out of touch with upstream") in said
    assert ("region", "Out of touch with upstream") in said
    assert [role for role, _ in said if role in ("banner", "main", "contentinfo")] == ["banner", "main", "contentinfo"]
    charts = [name for role, name in said if role in ("image", "img")]
    assert [name.partition(" One bar")[0] for name in charts] == [
        "Time behind upstream",
        "Bytes fetched",
        "Files fetched",
    ]
