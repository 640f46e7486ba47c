"""What must hold of a mirror at every instant: I2, I4 and I6. For I1 see links.py."""

import functools
import json
import re
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from mirrorsync.state import mirror_row
from tests.support.oracle.history import History, content, fits, history_of, short
from tests.support.oracle.pages import FORMS, JSON_FORM, read_page
from tests.support.oracle.terms import Terms
from tests.support.oracle.trees import Folder, Tree, object_at, page_at, pages
from tests.support.pypi.world import World

_ROOT = "simple/index.v1_json"
_STATUS = "mirrorsync/status.json"
_KNOWN = re.compile(
    r"simple/([a-z0-9-]+/)?index\.(html|v1_html|v1_json)"
    r"|packages/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}/[^/]+"
    r"|last-modified|lastsync"
    r"|mirrorsync/(status\.json|index\.html|history\.json|trace\.json|tunasync\.json)",
    re.DOTALL,
)
_EXTRAS = re.compile(r"pypi/[a-z0-9-]+/json")


def claims(tree: Tree, state: sqlite3.Connection | None = None) -> dict[str, int]:
    """Return each serial up to which the mirror claims to be complete, by where it claims so."""
    found: dict[str, int | None] = {}
    if state is not None and state.execute("SELECT count(*) FROM mirror").fetchone()[0]:
        found["state"] = mirror_row.synced_serial(state)
    if (root := tree.read(_ROOT)) is not None:
        found["root"] = _document(root)["meta"].get("_last-serial")
    if (status := tree.read(_STATUS)) is not None:
        found["status"] = _document(status)["synced_serial"]
    return {name: serial for name, serial in found.items() if serial is not None}


@functools.lru_cache(maxsize=1024)
def _document(body: bytes) -> Any:
    return json.loads(body)


def overclaims(
    tree: Tree,
    world: World,
    terms: Terms,
    claimed: Mapping[str, int],
    *,
    excused: Collection[str],
    seen: Collection[str],
) -> Iterator[str]:
    """Yield the pages that are older than a claim, or that upstream never served (I2).

    Read the claims before the tree: the mirror may be at work meanwhile. `seen` are the projects that once had a page.
    """
    claim = max(claimed.values(), default=0)
    forms = [(name, form, tree.read(f"simple/{name}/{form}")) for name in list(world.history) for form in FORMS]
    history = history_of(world)  # after the pages: what they say has been said by now
    for name, form, body in forms:
        if name in excused:
            continue
        owed = history.owed(name, claim)
        shown = content(None if body is None else read_page(body, form))
        if fits(shown, owed, mixed=terms.mixed_pages):
            continue
        if shown is None and name not in seen and _may_be_absent(history, name, claim, terms):
            continue
        yield f"I2 {name}/{form}: claims {dict(claimed)}, shows {short(shown)}, owes {short(owed[0])}"


def _may_be_absent(history: History, name: str, claim: int, terms: Terms) -> bool:
    return terms.quarantined_may_be_absent and any(
        page.status == "quarantined" for page in history.pages_owed(name, claim)
    )


def held_back(
    tree: Tree, world: World, state: sqlite3.Connection, excused: Collection[str], *, mixed: bool = True
) -> Iterator[str]:
    """Yield the projects that have not failed and are not as upstream has them now (I7)."""
    history = history_of(world)
    for row in state.execute("SELECT name FROM project WHERE attempts = 0").fetchall():
        name = row["name"]
        if name in excused or name not in history.moments:
            continue
        owed = history.owed(name, world.last_serial or 0)
        body = tree.read(f"simple/{name}/{JSON_FORM}")
        shown = content(None if body is None else read_page(body, JSON_FORM))
        if not fits(shown, owed, mixed=mixed):
            yield f"I7 {name} has not failed, shows {short(shown)} and owes {short(owed[0])}"


def serials(tree: Tree) -> dict[str, int]:
    """Return the serial of each project's JSON page."""
    found: dict[str, int] = {}
    for path, name, form in pages(tree):
        if form == JSON_FORM and (body := tree.read(path)) is not None:
            found[name] = read_page(body, form).serial or 0
    return found


class SerialWatch:
    """Notes when a page goes back to an older serial (I6)."""

    def __init__(self) -> None:
        self.newest: dict[str, int] = {}
        """By project: what was served last, of projects without a page what they had."""

    def look(self, tree: Tree, terms: Terms) -> Iterator[str]:
        now = serials(tree)
        for name, serial in now.items():
            if serial < self.newest.get(name, 0):
                yield f"I6 {name}: serial {serial} is served after {self.newest[name]}"
        self.newest = now if terms.serials_restart else self.newest | now


def strays(tree: Tree, terms: Terms) -> Iterator[str]:
    """Yield the paths that do not belong into a served tree, such as temporary files (I4)."""
    for path in tree.paths():
        if not (_is_known(path) or (terms.extras and _EXTRAS.fullmatch(path))):
            yield f"I4 {path}: nothing of that kind belongs into the tree"


@functools.lru_cache(maxsize=65_536)
def _is_known(path: str) -> bool:
    return _KNOWN.fullmatch(path) is not None


def unknown_objects(tree: Tree, state: sqlite3.Connection) -> Iterator[str]:
    """Yield the files and pages in the tree that no table of the state mentions (I4)."""
    # The tree first: a mirror at work records a file before it stores it.
    paths = [path for path in tree.paths() if path.startswith(("packages/", "simple/"))]
    if not paths:
        return
    names = {row[0] for row in state.execute("SELECT name FROM project")}
    known = {(bytes(place).hex(), name) for place, name in state.execute("SELECT place, filename FROM condemned")}
    for place, filename, sidecar in state.execute("SELECT place, filename, metadata_sha256 FROM file"):
        known.add((bytes(place).hex(), filename))
        if sidecar is not None:
            known.add((bytes(place).hex(), f"{filename}.metadata"))
    for path in paths:
        if (found := object_at(path)) is not None and found not in known:
            yield f"I4 {path}: the state does not mention it"
        elif (page := page_at(path)) is not None and page[0] not in names:
            yield f"I4 {path}: a page of a project that the state does not mention"


def unknown_to_state(directory: Path) -> list[str]:
    """Return what stands in the mirror's tree below `directory` without its state mentioning it (I4)."""
    tree, state = Folder(directory / "web"), directory / "state" / "mirrorsync.sqlite3"
    if not state.exists():
        return [f"I4 {path}: there is no state" for path in (*tree.paths("packages"), *tree.paths("simple"))]
    with closing(sqlite3.connect(f"{state.as_uri()}?mode=ro", uri=True)) as connection:
        return sorted(unknown_objects(tree, connection))
