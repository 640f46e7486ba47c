"""Compares a mirror's tree with the world: it knows nothing of how the tree was made.

Every function returns the problems that it found, one sentence each; an empty list is a true mirror.
"""

import hashlib
import re
import urllib.parse
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import msgspec

from tests.support.pypi.published import (
    Link,
    Published,
    Unreadable,
    read_html,
    read_json,
    read_root_html,
    read_root_json,
)
from tests.support.pypi.values import Expected, Page, Shape, WorldFile, normalise
from tests.support.pypi.world import World

_PAGES = ("index.html", "index.v1_html", "index.v1_json")
_READERS: dict[str, Callable[[bytes], Published]] = {
    "index.html": read_html,
    "index.v1_html": read_html,
    "index.v1_json": read_json,
}
_KNOWN = re.compile(
    r"simple/([a-z0-9-]+/)?index\.(html|v1_html|v1_json)"
    r"|packages/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}/[^/]+"
    r"|pypi/[a-z0-9-]+/json"
    r"|last-modified"
    r"|lastsync"
    r"|mirrorsync/[a-z0-9][^/]*(?<!\.tmp)(?<!\.part)",
    re.DOTALL,
)
_REREADS = 10


class _Terms(msgspec.Struct, frozen=True):
    shape: Shape
    files: bool
    sidecars: bool
    base: str


def check_tree(  # noqa: PLR0913 - the ways in which a mirror may rightly differ
    web: Path,
    world: World,
    *,
    shape: Shape | None = None,
    projects: Collection[str] | None = None,
    files: bool = True,
    sidecars: bool = True,
    allow_condemned: bool = False,
    root_url: str | None = None,
) -> list[str]:
    """Return how the tree at `web` differs from the world's present.

    `shape` is the upstream's; `projects` what the mirror selects (None: all); `files` False an index-only mirror
    whose links are upstream's own; `sidecars` False one without `.metadata`; `allow_condemned` passes stored files
    that no page names; `root_url` is where absolute links lead. A quarantined project's page may be absent: a
    mirror that only knows the root list never hears of it. Serials may lag, but never lead.
    """
    expected = _selected(world.expected(), projects)
    terms = _Terms(shape or Shape(), files, sidecars, root_url or "http://mirror.test")
    problems: list[str] = []
    present = {path.name for path in (web / "simple").glob("*") if path.is_dir()}
    problems += [f"{name}: served, and upstream has no such project" for name in present - set(expected.pages)]
    for name, page in expected.pages.items():
        if name in present:
            problems += [f"{name}: {problem}" for problem in _page_problems(web, page, terms)]
        elif page.status != "quarantined":
            problems.append(f"{name}: no page")
    problems += [f"root: {problem}" for problem in _root_problems(web / "simple", expected)]
    problems += _strays(web)
    if files:
        problems += check_links(web, root_url=root_url)
        if not allow_condemned:
            problems += _orphans(web, terms)
    return sorted(problems)


def check_links(web: Path, *, root_url: str | None = None) -> list[str]:
    """Return the links of pages at `web` that lead to no bytes, or not to the promised ones.

    May be called while a mirror runs: what a page promised is judged only if the page still stands unchanged.
    """
    base = root_url or "http://mirror.test"
    problems = []
    for path in sorted((web / "simple").glob("*/index.*")):
        for _ in range(_REREADS):
            body = _read(path)
            if body is None:
                break
            found = _link_problems(web, path, body, base)
            if not found:
                break
            if _read(path) == body:
                problems += [f"{path.parent.name}/{path.name}: {problem}" for problem in found]
                break
        else:
            problems.append(f"{path.parent.name}/{path.name}: changed {_REREADS} times while it was checked")
    return problems


def _link_problems(web: Path, path: Path, body: bytes, base: str) -> list[str]:
    reader = _READERS.get(path.name)
    if reader is None:
        return []
    try:
        page = reader(body)
    except Unreadable as error:
        return [str(error)]
    sizes = page.sizes or (None,) * len(page.links)
    problems: list[str] = []
    for link, size in zip(page.links, sizes, strict=True):
        target = _target(path.parent.name, link, base)
        if target is None:
            problems.append(f"{link.url} leads out of the mirror")
            continue
        problems += _object_problems(web / target, link.sha256, size)
        if link.metadata_sha256 is not None:
            problems += _object_problems(web / f"{target}.metadata", link.metadata_sha256, None)
    return problems


def _object_problems(path: Path, sha256: str, size: int | None) -> list[str]:
    content = _read(path)
    if content is None:
        return [f"{path.name} is named and is not there"]
    if hashlib.sha256(content).hexdigest() != sha256:
        return [f"{path.name} has {len(content)} bytes of another digest than the page promises"]
    if size is not None and size != len(content):
        return [f"{path.name} has {len(content)} bytes and the page promises {size}"]
    return []


def _target(name: str, link: Link, base: str) -> str | None:
    url = urllib.parse.urljoin(f"{base}/simple/{name}/", link.url)
    return urllib.parse.unquote(url.removeprefix(f"{base}/")) if url.startswith(f"{base}/") else None


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _selected(expected: Expected, projects: Collection[str] | None) -> Expected:
    if projects is None:
        return expected
    names = {normalise(name) for name in projects}
    pages = {name: page for name, page in expected.pages.items() if name in names}
    return Expected(pages, tuple(listed for listed in expected.root if listed.name in names), expected.serial)


def _page_problems(web: Path, page: Page, terms: _Terms) -> Iterator[str]:
    bodies = {name: _read(web / "simple" / page.name / name) for name in _PAGES}
    missing = [name for name, body in bodies.items() if body is None]
    if missing:
        yield f"without {', '.join(missing)}"
        return
    if bodies["index.html"] != bodies["index.v1_html"]:
        yield "index.html and index.v1_html differ"
    try:
        json_page = read_json(bodies["index.v1_json"] or b"")
        html_page = read_html(bodies["index.html"] or b"")
    except Unreadable as error:
        yield str(error)
        return
    plain = tuple(msgspec.structs.replace(link, url=link.url.partition("#")[0]) for link in json_page.links)
    if html_page.links != plain:
        yield "HTML and JSON name different files, or say different things of them"
    if html_page.status != json_page.status:
        yield f"HTML says {html_page.status}, JSON {json_page.status}"
    yield from _differences(json_page, page, terms)


def _differences(published: Published, page: Page, terms: _Terms) -> Iterator[str]:
    if published.name != page.name:
        yield f"calls itself {published.name}"
    status = page.status if terms.shape.project_status else "active"
    if published.status != status:
        yield f"status {published.status}, upstream {status}"
    if published.serial is not None and published.serial > page.serial:
        yield f"serial {published.serial}, upstream only {page.serial}"
    if published.versions is not None and published.versions != page.versions:
        yield f"versions {published.versions}, upstream {page.versions}"
    names, wanted = [link.filename for link in published.links], [file.filename for file in page.files]
    if names != wanted:
        yield f"files {names}, upstream {wanted}"
        return
    for number, file in enumerate(page.files):
        yield from _file_differences(published, number, file, terms)


def _file_differences(published: Published, number: int, file: WorldFile, terms: _Terms) -> Iterator[str]:
    link = published.links[number]
    sidecars = terms.sidecars and terms.shape.sidecar_keys
    pairs = {
        "sha256": (link.sha256, file.sha256),
        "size": (published.sizes[number], file.size),
        "upload-time": (published.upload_times[number], file.upload_time),
        "requires-python": (link.requires_python, file.requires_python),
        "yanked": (link.yanked, file.yanked),
        "sidecar": (link.metadata_sha256, file.metadata_sha256 if sidecars else None),
        "provenance": (link.provenance is not None, file.provenance and terms.shape.sidecar_keys),
    }
    for what, (has, wants) in pairs.items():
        if has != wants:
            yield f"{file.filename}: {what} {has!r}, upstream {wants!r}"
    if terms.files and terms.shape.hashed_paths and _target(published.name, link, terms.base) != file.path:
        yield f"{file.filename}: stands at {link.url}, not at /{file.path}"
    if not terms.files and not urllib.parse.unquote(link.url.partition("#")[0]).endswith(f"/{file.filename}"):
        yield f"{file.filename}: leads to {link.url}"


def _root_problems(simple: Path, expected: Expected) -> Iterator[str]:
    bodies = {name: _read(simple / name) for name in _PAGES}
    missing = [name for name, body in bodies.items() if body is None]
    if missing:
        yield f"without {', '.join(missing)}"
        return
    if bodies["index.html"] != bodies["index.v1_html"]:
        yield "index.html and index.v1_html differ"
    wanted = sorted(listed.name for listed in expected.root)
    try:
        in_json = [normalise(name) for name in read_root_json(bodies["index.v1_json"] or b"")]
        in_html = read_root_html(bodies["index.html"] or b"")
    except Unreadable as error:
        yield str(error)
        return
    if sorted(in_json) != wanted:
        yield f"JSON lists {in_json}, upstream {wanted}"
    if sorted(normalise(text) for _, text in in_html) != wanted:
        yield f"HTML lists {[text for _, text in in_html]}, upstream {wanted}"
    yield from (f"{text} leads to {path}" for path, text in in_html if path != f"/simple/{normalise(text)}/")


def _strays(web: Path) -> list[str]:
    names = (path.relative_to(web).as_posix() for path in web.rglob("*") if not path.is_dir())
    return [
        f"{name}: nothing of that kind belongs into the served tree" for name in names if not _KNOWN.fullmatch(name)
    ]


def _orphans(web: Path, terms: _Terms) -> Iterator[str]:
    named: set[str] = set()
    for path in (web / "simple").glob("*/index.v1_json"):
        try:
            links = read_json(path.read_bytes()).links
        except Unreadable:
            continue  # told already
        for link in links:
            target = _target(path.parent.name, link, terms.base) or ""
            named |= {target, f"{target}.metadata"} if link.metadata_sha256 else {target}
    for path in (web / "packages").rglob("*"):
        if path.is_file() and path.relative_to(web).as_posix() not in named:
            yield f"{path.relative_to(web)}: no page names it"
