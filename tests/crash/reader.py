"""Someone who reads the served tree all the while, and holds every page against what mirrorsync promises."""

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.support.process.cli import Operator
from tests.support.pypi.checker import check_links
from tests.support.pypi.values import Page
from tests.support.pypi.world import World

_PAUSE = 0.01
"""Seconds between two passes, beside as long as one took: upstream lives in our process and needs its time, too."""
_ENOUGH = 20
_HIDDEN = "quarantined"
Content = tuple[str, tuple[tuple[str, str, object], ...]]
"""A page's status, and of each file its name, its digest and whether it is yanked."""


class Reader:
    """Reads passes until it is told to stop; `violations` are sentences, none of them while all is well."""

    def __init__(self, web: Path, world: World) -> None:
        self.web = web
        self.world = world
        self.passes = 0
        self.violations: list[str] = []
        self._newest: dict[str, int] = {}
        self._stop = threading.Event()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read in a thread beside the body."""
        thread = threading.Thread(target=self._read_on, name="reader")
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            self._stop.clear()

    def _read_on(self) -> None:
        while not self._stop.is_set() and len(self.violations) < _ENOUGH:
            began = time.monotonic()
            self.look()
            self._stop.wait(_PAUSE + time.monotonic() - began)

    def look(self) -> None:
        """Make one pass."""
        try:
            # The claim before the pages: they only move on, so each must be at least what was claimed of it.
            root = _json(self.web / "simple" / "index.v1_json")
            self.violations += [f"I1 {problem}" for problem in check_links(self.web)]
            self.violations += list(self._pages_gone_back())
            self.violations += list(self._overclaims(root)) if root else []
            self.violations += list(self._partial_objects())
        except FileNotFoundError:
            return  # a directory went while it was listed: that is no violation, and this was no whole pass
        except Exception as error:  # noqa: BLE001 - a thread's failure must be seen by the test
            self.violations.append(f"the reader failed: {error!r}")
        self.passes += 1

    def _pages_gone_back(self) -> Iterator[str]:
        for path in (self.web / "simple").glob("*/index.v1_json"):
            page = _json(path)
            if page is None:
                continue
            name, serial = path.parent.name, page["meta"]["_last-serial"]
            if serial < self._newest.get(name, 0):
                yield f"I6 {name}: serial {serial} is served after {self._newest[name]}"
            self._newest[name] = serial

    def _overclaims(self, root: dict[str, Any]) -> Iterator[str]:
        claimed = root["meta"].get("_last-serial")
        if claimed is None:
            return
        # Upstream's past after the pages: what they say must have been said by then.
        pages = {
            name: _served(_json(self.web / "simple" / name / "index.v1_json")) for name in list(self.world.history)
        }
        with self.world.lock:
            history = {name: list(self.world.history[name]) for name in pages}
        for name, entries in history.items():
            told = [number for number, (serial, _) in enumerate(entries) if serial <= claimed]
            if not told:
                continue
            since = [_upstreams(entry) for _, entry in entries[told[-1] :]]
            if pages[name] is None and name not in self._newest and any(page and page[0] == _HIDDEN for page in since):
                continue  # the root list, from which a mirror begins, does not name it
            if pages[name] not in since:
                yield f"I2 {name}: serial {claimed} is claimed, and its page is from before"

    def _partial_objects(self) -> Iterator[str]:
        for path in (self.web / "packages").glob("*/*/*/*"):
            content = _bytes(path)
            if content is None or path.suffix == ".metadata":
                continue
            place = "".join(path.parts[-4:-1])
            if hashlib.blake2b(content, digest_size=32).hexdigest() != place:
                yield f"I4 {path.name}: {len(content)} bytes that are not those of its place"


def unknown_objects(directory: Path) -> set[str]:
    """Return what stands below packages/ of `directory` and is in no table of its state (I4)."""
    stored = {f"{''.join(path.parts[-4:-1])}/{path.name}" for path in (directory / "web/packages").glob("*/*/*/*")}
    state = directory / "state" / "mirrorsync.sqlite3"
    if not stored or not state.exists():
        return stored
    with closing(sqlite3.connect(f"{state.as_uri()}?mode=ro", uri=True)) as connection:
        known = connection.execute(
            "SELECT lower(hex(place)) || '/' || filename FROM file"
            " UNION SELECT lower(hex(place)) || '/' || filename || '.metadata' FROM file WHERE metadata_sha256 NOTNULL"
            " UNION SELECT lower(hex(place)) || '/' || filename FROM condemned"
        )
        return stored - {name for (name,) in known}


def unmet(operator: Operator) -> list[str]:
    """Return which projects are unmet; none where not even a state was begun."""
    told = operator.does("status", "--json").out
    return [row["name"] for row in json.loads(told)["unmet"]] if told else []


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _json(path: Path) -> dict[str, Any] | None:
    body = _bytes(path)
    found: dict[str, Any] | None = None if body is None else json.loads(body)
    return found


def _served(page: dict[str, Any] | None) -> Content | None:
    if page is None:
        return None
    files = tuple((file["filename"], file["hashes"]["sha256"], file["yanked"]) for file in page["files"])
    return page["project-status"]["status"], files


def _upstreams(page: Page | None) -> Content | None:
    if page is None:
        return None
    return page.status, tuple((file.filename, file.sha256, file.yanked) for file in page.files)
