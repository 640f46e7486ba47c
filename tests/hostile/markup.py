"""Published HTML, parsed independently: what it may contain."""

from html.parser import HTMLParser
from typing import Final

_ATTRIBUTES: Final = {
    "html": {"lang"},
    "head": set(),
    "meta": {"name", "content"},
    "title": set(),
    "body": set(),
    "h1": set(),
    "a": {
        "href",
        "data-requires-python",
        "data-yanked",
        "data-dist-info-metadata",
        "data-core-metadata",
        "data-provenance",
    },
    "br": set(),
}
_ONCE: Final = ("html", "head", "title", "body")
_HEADERS: Final = ("pypi:repository-version", "pypi:project-status", "pypi:project-status-reason")


class _Skeleton(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.problems: list[str] = []
        self.comments: list[str] = []
        self.declarations: list[str] = []
        self._anchors_open = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = [name for name, _ in attrs]
        if tag not in _ATTRIBUTES:
            self.problems.append(f"an element {tag!r}")
        elif set(names) - _ATTRIBUTES[tag] or len(names) != len(set(names)):
            self.problems.append(f"{tag} with the attributes {names}")
        if tag == "meta" and dict(attrs).get("name") not in _HEADERS:
            self.problems.append(f"meta of {dict(attrs).get('name')!r}")
        self._anchors_open += tag == "a"
        if self._anchors_open > 1:
            self.problems.append("an anchor in an anchor")

    def handle_endtag(self, tag: str) -> None:
        self._anchors_open -= tag == "a"

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def handle_decl(self, decl: str) -> None:
        self.declarations.append(decl)

    def unknown_decl(self, data: str) -> None:
        self.problems.append(f"a marked section {data[:40]!r}")

    def handle_pi(self, data: str) -> None:
        self.problems.append(f"a processing instruction {data[:40]!r}")


def markup_problems(body: bytes, *, anchors: int, serial: int | None) -> list[str]:
    """Return what a page contains besides `anchors` links, the usual frame, and the comment with its serial."""
    parser = _Skeleton()
    parser.feed(body.decode())
    parser.close()
    problems = list(parser.problems)
    problems += [f"{parser.tags.count(tag)} elements {tag}" for tag in _ONCE if parser.tags.count(tag) != 1]
    if parser.tags.count("a") != anchors:
        problems.append(f"{parser.tags.count('a')} links, not {anchors}")
    if parser.comments != ([] if serial is None else [f"SERIAL {serial}"]):
        problems.append(f"comments {parser.comments}")
    if [text.lower() for text in parser.declarations] != ["doctype html"]:
        problems.append(f"declarations {parser.declarations}")
    return problems
