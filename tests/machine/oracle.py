"""What must hold of a mirror at every instant, and what at its end; all in memory, a fraction of a millisecond."""

import functools
import hashlib
import json
import re
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from mirrorsync.model.identity import StorePath
from mirrorsync.simple.layout import parse_file_path
from mirrorsync.state import progress
from tests.support.pypi.published import Published, read_html, read_json, read_root_html, read_root_json
from tests.support.pypi.values import Page, normalise
from tests.support.pypi.world import World

Objects = Mapping[StorePath, tuple[bytes, float]]
Content = tuple[Any, ...] | None
"""What a page says, serial and sidecars aside; None: there is no page."""

_FORMS = ("index.v1_json", "index.v1_html", "index.html")
_PAGE = re.compile(r"simple/([a-z0-9-]+)/(index\.v1_json|index\.v1_html|index\.html)")
_TREE = re.compile(
    r"simple/index\.(html|v1_html|v1_json)|last-modified|lastsync"
    r"|mirrorsync/(status\.json|index\.html|history\.json|trace\.json|tunasync\.json)"
)


class Moment(NamedTuple):
    """What a cache may have served of a project."""

    content: Content
    claimed_from: int | None
    """From this serial on a mirror that claims it owes this page, or a later one; None: no row tells of it."""


@functools.lru_cache(maxsize=65_536)
def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@functools.lru_cache(maxsize=65_536)
def read(body: bytes, *, html: bool) -> Published:
    return read_html(body) if html else read_json(body)


def said(page: Published) -> Content:
    return page.status, tuple((link.filename, link.sha256, link.yanked, link.requires_python) for link in page.links)


def said_upstream(page: Page | None) -> Content:
    if page is None:
        return None
    return page.status, tuple((file.filename, file.sha256, file.yanked, file.requires_python) for file in page.files)


def serials(objects: Objects) -> dict[str, int]:
    """Return the serial of every project's JSON page."""
    return {
        match[1]: read(body, html=False).serial or 0
        for path, (body, _) in objects.items()
        if (match := _PAGE.fullmatch(path)) is not None and match[2] == "index.v1_json"
    }


class Truth:
    """A world's past, made ready for questions; made anew whenever the world goes on."""

    def __init__(self, world: World) -> None:
        rows: dict[str, set[int]] = {}
        for row in world.journal:
            if row.action.startswith("invite "):
                continue  # the serial moves, and the page that is served does not
            rows.setdefault(normalise(row.name or ""), set()).add(row.serial)
        self.moments: dict[str, list[Moment]] = {}
        for name, entries in world.history.items():
            moments, seen = [Moment(None, 0)], set[int]()
            for serial, page in entries:
                claimed = serial if serial in rows.get(name, ()) and serial not in seen else None
                seen.add(serial)
                moments.append(Moment(said_upstream(page), claimed))
            self.moments[name] = moments

    def owed(self, name: str, claim: int) -> list[Content]:
        """Return all that a mirror which claims `claim` may serve."""
        moments = self.moments[name]
        first = max(
            index
            for index, moment in enumerate(moments)
            if moment.claimed_from is not None and moment.claimed_from <= claim
        )
        return [moment.content for moment in moments[first:]]


def holes(objects: Objects, connection: sqlite3.Connection, truth: Truth, excused: Collection[str] = ()) -> list[str]:
    """Return the breaches of I1, I2 and I4 at this instant, one sentence each; `excused` of I2 are these projects."""
    return [
        *broken_links(objects),
        *overclaims(objects, connection, truth, excused),
        *unknown_objects(objects, connection),
    ]


def broken_links(objects: Objects) -> Iterator[str]:
    """I1."""
    for path, (body, _) in objects.items():
        match = _PAGE.fullmatch(path)
        if match is None:
            continue
        page = read(body, html=match[2] != "index.v1_json")
        sizes = page.sizes or (None,) * len(page.links)
        for link, size in zip(page.links, sizes, strict=True):
            target = StorePath(unquote(link.url.removeprefix("../../")))
            yield from (f"I1 {path}: {problem}" for problem in _object_problems(objects, target, link.sha256, size))
            if link.metadata_sha256 is not None:
                sidecar = StorePath(f"{target}.metadata")
                found = _object_problems(objects, sidecar, link.metadata_sha256, None)
                yield from (f"I1 {path}: {problem}" for problem in found)


def _object_problems(objects: Objects, path: StorePath, sha256: str, size: int | None) -> Iterator[str]:
    found = objects.get(path)
    if found is None:
        yield f"{path} is named and is not there"
    elif digest(found[0]) != sha256:
        yield f"{path} has other bytes than its page promises"
    elif size not in (None, len(found[0])):
        yield f"{path} has {len(found[0])} bytes, its page promises {size}"


def claims(objects: Objects, connection: sqlite3.Connection) -> dict[str, int]:
    """Return every serial up to which the mirror says that it is true."""
    found: dict[str, int | None] = {}
    if connection.execute("SELECT count(*) FROM mirror").fetchone()[0]:
        found["state"] = progress.synced_serial(connection)
    if (root := objects.get(StorePath("simple/index.v1_json"))) is not None:
        found["root"] = json.loads(root[0])["meta"].get("_last-serial")
    if (status := objects.get(StorePath("mirrorsync/status.json"))) is not None:
        found["status"] = json.loads(status[0])["synced_serial"]
    return {name: serial for name, serial in found.items() if serial is not None}


def overclaims(
    objects: Objects, connection: sqlite3.Connection, truth: Truth, excused: Collection[str]
) -> Iterator[str]:
    """I2; and that every page says what upstream once said, never less, more, or a mixture."""
    told = claims(objects, connection)
    for name in truth.moments.keys() - set(excused):
        owed = truth.owed(name, max(told.values(), default=0))
        for form in _FORMS:
            found = objects.get(StorePath(f"simple/{name}/{form}"))
            shown = None if found is None else said(read(found[0], html=form != "index.v1_json"))
            if not fits(shown, owed):
                yield f"I2 {name}/{form}: claims {told}, shows {_short(shown)}, owes {_short(owed[0])}"


def fits(shown: Content, owed: list[Content]) -> bool:
    """Tell whether a page owes nothing: every line was true since then, and none is missing that always was there.

    While a sidecar is replaced, a page stands between two of upstream's; lines are what it must not get wrong.
    """
    if shown in owed:
        return True
    if shown is None or not any(owed):
        return False
    lines = {line for content in owed if content is not None for line in content[1]}
    constant = set.intersection(*({line[0] for line in content[1]} if content else set[str]() for content in owed))
    statuses = {content[0] for content in owed if content is not None}
    return shown[0] in statuses and lines.issuperset(shown[1]) and constant.issubset(line[0] for line in shown[1])


def _short(content: Content) -> str:
    return "no page" if content is None else f"{content[0]} {[(file[0], file[2]) for file in content[1]]}"


def unknown_objects(objects: Objects, connection: sqlite3.Connection) -> Iterator[str]:
    """I4."""
    names = {row["name"] for row in connection.execute("SELECT name FROM project")}
    known = {(bytes(row["place"]), row["filename"]) for row in connection.execute("SELECT * FROM condemned")}
    for row in connection.execute("SELECT place, filename, metadata_sha256 FROM file"):
        known.add((bytes(row["place"]), row["filename"]))
        if row["metadata_sha256"] is not None:
            known.add((bytes(row["place"]), f"{row['filename']}.metadata"))
    for path in objects:
        match = _PAGE.fullmatch(path)
        if match is not None:
            if match[1] not in names:
                yield f"I4 {path}: a page of a project that the database never heard of"
        elif path.startswith("packages/"):
            if parse_file_path(path) not in known:
                yield f"I4 {path}: the database never heard of it"
        elif not _TREE.fullmatch(path):
            yield f"I4 {path}: nothing of that kind belongs into the tree"


def differences(objects: Objects, connection: sqlite3.Connection, world: World) -> Iterator[str]:
    """I3: how the tree differs from upstream's present, sidecars, root list, claim and orphans included."""
    expected = world.expected()
    served = {match[1] for path in objects if (match := _PAGE.fullmatch(path))}
    for name in {*expected.pages, *served}:
        for form in _FORMS:
            found = objects.get(StorePath(f"simple/{name}/{form}"))
            shown = None if found is None else read(found[0], html=form != "index.v1_json")
            yield from (f"I3 {name}/{form}: {text}" for text in _page_differences(shown, expected.pages.get(name)))
    yield from _orphans(objects, expected.pages.values())
    yield from _root_differences(objects, [row.name for row in expected.root])
    for who, serial in claims(objects, connection).items():
        if serial != expected.serial:
            yield f"I3 {who}: claims {serial}, upstream {expected.serial}"
    yield from (f"I3 condemned still: {row['filename']}" for row in connection.execute("SELECT * FROM condemned"))


def _page_differences(shown: Published | None, page: Page | None) -> Iterator[str]:
    content = None if shown is None else said(shown)
    if content != said_upstream(page):
        yield f"{_short(content)}, upstream {_short(said_upstream(page))}"
    elif shown is not None and page is not None:
        for link, file in zip(shown.links, page.files, strict=True):
            if link.metadata_sha256 != file.metadata_sha256:
                yield f"{file.filename}: sidecar {link.metadata_sha256}, upstream {file.metadata_sha256}"


def _orphans(objects: Objects, pages: Iterable[Page]) -> Iterator[str]:
    files = [file for page in pages for file in page.files]
    named = {file.path for file in files} | {f"{file.path}.metadata" for file in files if file.metadata is not None}
    yield from (
        f"I3 {path}: no page names it" for path in objects if path.startswith("packages/") and path not in named
    )


def _root_differences(objects: Objects, wanted: list[str]) -> Iterator[str]:
    for form in _FORMS:
        found = objects.get(StorePath(f"simple/{form}"))
        if found is None:
            yield f"I3 root {form}: absent"
            continue
        json_form = form == "index.v1_json"
        names = read_root_json(found[0]) if json_form else [text for _, text in read_root_html(found[0])]
        if sorted(normalise(name) for name in names) != sorted(wanted):
            yield f"I3 root {form}: lists {names}, upstream {wanted}"
