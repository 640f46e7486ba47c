"""Read published pages as a client reads them, from JSON or from HTML."""

import functools
import html.parser
import json
import urllib.parse
from typing import Any

import msgspec

FORMS = ("index.v1_json", "index.v1_html", "index.html")
"""The files of one page."""
JSON_FORM = "index.v1_json"


class UnreadablePage(Exception):  # noqa: N818 - a fact about a page
    """The page is not what its name promises."""


class Link(msgspec.Struct, frozen=True):
    """What a page says of one file, in the terms that JSON and HTML share."""

    filename: str
    url: str
    sha256: str
    requires_python: str | None
    yanked: bool | str
    metadata_sha256: str | None
    provenance: str | None


class PublishedPage(msgspec.Struct, frozen=True):
    """A project's page. Only JSON has the fields after `status`."""

    links: tuple[Link, ...]
    status: str
    name: str = ""
    serial: int | None = None
    versions: tuple[str, ...] | None = None
    sizes: tuple[int | None, ...] = ()
    """Bytes, in the order of `links`."""
    upload_times: tuple[str | None, ...] = ()


@functools.lru_cache(maxsize=65_536)
def read_page(body: bytes, form: str) -> PublishedPage:
    """Return what the page in the file `form` says. Raises: UnreadablePage."""
    return read_json(body) if form == JSON_FORM else read_html(body)


def read_json(body: bytes) -> PublishedPage:
    """Return what a JSON page says. Raises: UnreadablePage."""
    try:
        page = json.loads(body)
        _require(str(page["meta"]["api-version"]).startswith("1."), "api-version is not 1.x")
        serial = page["meta"].get("_last-serial")
        versions = page.get("versions")
        return PublishedPage(
            links=tuple(_json_link(file) for file in page["files"]),
            status=page.get("project-status", {}).get("status", "active"),
            name=page["name"],
            serial=None if serial is None else int(serial),
            versions=None if versions is None else tuple(versions),
            sizes=tuple(file.get("size") for file in page["files"]),
            upload_times=tuple(file.get("upload-time") for file in page["files"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadablePage(f"not a project page in JSON: {error!r}") from error


def _json_link(file: dict[str, Any]) -> Link:
    spellings = [file[key] for key in ("core-metadata", "data-dist-info-metadata") if key in file]
    _require(spellings in ([], spellings[:1], spellings[:1] * 2), "two values for the sidecar")
    sidecar: Any = spellings[0] if spellings else False
    _require(sidecar is not True, "a sidecar without a digest")
    return Link(
        filename=file["filename"],
        url=file["url"],
        sha256=file["hashes"]["sha256"],
        requires_python=file.get("requires-python"),
        yanked=file.get("yanked", False),
        metadata_sha256=sidecar["sha256"] if sidecar else None,
        provenance=file.get("provenance"),
    )


def read_html(body: bytes) -> PublishedPage:
    """Return what an HTML page says. Raises: UnreadablePage."""
    parser = _parsed(body)
    links = tuple(_html_link(attributes, text) for attributes, text in parser.anchors)
    return PublishedPage(links=links, status=parser.meta.get("pypi:project-status", "active"))


def _html_link(attributes: dict[str, str], text: str) -> Link:
    url, _, fragment = attributes.get("href", "").partition("#")
    _require(fragment.startswith("sha256="), f"no sha256 in the link of {text}")
    sidecars = {attributes[key] for key in ("data-core-metadata", "data-dist-info-metadata") if key in attributes}
    _require(len(sidecars) <= 1, f"two values for the sidecar of {text}")
    yanked = attributes.get("data-yanked")
    return Link(
        filename=text,
        url=url,
        sha256=fragment.removeprefix("sha256="),
        requires_python=attributes.get("data-requires-python"),
        yanked=False if yanked is None else (yanked or True),
        metadata_sha256=next((value.removeprefix("sha256=") for value in sidecars), None),
        provenance=attributes.get("data-provenance"),
    )


def read_root_json(body: bytes) -> list[str]:
    """Return the names in a root list. Raises: UnreadablePage."""
    try:
        return [project["name"] for project in json.loads(body)["projects"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadablePage(f"not a root list in JSON: {error!r}") from error


def read_root_html(body: bytes) -> list[tuple[str, str]]:
    """Return (the URL's path, the name) for each project of a root list. Raises: UnreadablePage."""
    base = "http://mirror.test/simple/"
    return [
        (urllib.parse.urlsplit(urllib.parse.urljoin(base, attributes.get("href", ""))).path, text)
        for attributes, text in _parsed(body).anchors
    ]


class _Anchors(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.meta: dict[str, str] = {}
        self.anchors: list[tuple[dict[str, str], str]] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "meta" and "name" in attributes:
            self.meta[attributes["name"]] = attributes.get("content", "")
        if tag == "a":
            self._inside = True
            self.anchors.append((attributes, ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "a"

    def handle_data(self, data: str) -> None:
        if self._inside:
            attributes, text = self.anchors[-1]
            self.anchors[-1] = attributes, text + data


def _parsed(body: bytes) -> _Anchors:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise UnreadablePage(f"not UTF-8: {error}") from error
    parser = _Anchors()
    parser.feed(text)
    parser.close()
    _require(parser.meta.get("pypi:repository-version", "").startswith("1."), "no repository-version")
    return parser


def _require(condition: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not condition:
        raise UnreadablePage(otherwise)
