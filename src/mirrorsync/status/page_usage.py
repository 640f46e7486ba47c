"""How to use the mirror: lines to copy. Pure."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from mirrorsync.status.page_values import Page
from mirrorsync.status.page_words import clean

_PLACEHOLDER: Final = "https://THIS-MIRROR/simple/"
_URL_LIMIT: Final = 2000
_SNIPPETS: Final[tuple[tuple[str, tuple[tuple[str, str], ...]], ...]] = (
    (
        "pip",
        (
            ("For one installation:", "pip install --index-url {url} PROJECT"),
            ("For good:", "pip config set global.index-url {url}"),
        ),
    ),
    (
        "uv",
        (
            (
                "In <code>uv.toml</code>; in <code>pyproject.toml</code> it is <code>[[tool.uv.index]]</code>:",
                '[[index]]\nurl = "{url}"\ndefault = true',
            ),
        ),
    ),
    ("Poetry", (("In your project's folder:", "poetry source add --priority=primary mirror {url}"),)),
)


def how_to_use(page: Page) -> Iterator[str]:
    """Lines for pip, uv and Poetry, with the mirror's own address where it is known."""
    url = clean(page.simple_url or _PLACEHOLDER, _URL_LIMIT)
    yield '<section aria-labelledby="use"><h2 id="use">How to use it</h2>'
    if page.simple_url is None:
        yield (
            "<p>Write for <code>THIS-MIRROR</code> what stands in your browser's address bar before"
            ' <code>/mirrorsync/</code>; the <a href="../simple/">index</a> lies beside this page.</p>'
        )
    if not page.holds_all:
        yield "<p>This mirror holds a selection of its upstream's projects: others are not found here.</p>"
    if not page.holds_files:
        yield "<p>This mirror holds the index alone: files come from its upstream.</p>"
    yield '<div class="snippets">'
    for tool, ways in _SNIPPETS:
        shown = "".join(f"<p>{when}</p><pre><code>{lines.format(url=url)}</code></pre>" for when, lines in ways)
        yield f"<div><h3>{tool}</h3>{shown}</div>"
    yield "</div>"
    if page.simple_url is not None and page.simple_url.startswith("http:"):
        host = clean(urlsplit(page.simple_url).netloc)
        yield f"<p>The address is not encrypted: pip wants <code>--trusted-host {host}</code> as well.</p>"
    yield "</section>"
