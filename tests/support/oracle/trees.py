"""A mirror's tree, on disk or in memory, as the oracle reads it."""

import functools
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from mirrorsync.model.identity import StorePath

Objects = Mapping[StorePath, tuple[bytes, float]]
"""Bodies, and the times of their changes, by path."""
_SMALL = 8192
"""Bytes below which a body's digest is cached."""
_PAGE = re.compile(r"simple/([^/]+)/(index\.v1_json|index\.v1_html|index\.html)")
_OBJECT = re.compile(r"packages/([0-9a-f]{2})/([0-9a-f]{2})/([0-9a-f]{60})/([^/]+)", re.DOTALL)


class Tree(Protocol):
    """A mirror's document root. It may change while it is read."""

    def read(self, path: str) -> bytes | None:
        """Return the body at `path`, None where there is none."""
        ...

    def paths(self, below: str = "") -> Iterator[str]:
        """Return the path of each file below the folder `below`, relative to the root, with slashes."""
        ...

    def projects(self) -> set[str]:
        """Return the names of the folders in simple/, empty ones included."""
        ...


class Folder:
    """A tree on disk."""

    def __init__(self, web: Path) -> None:
        self._web = web

    def read(self, path: str) -> bytes | None:
        try:
            return (self._web / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def paths(self, below: str = "") -> Iterator[str]:
        for directory, _, names in os.walk(self._web / below):
            relative = Path(directory).relative_to(self._web)
            yield from ((relative / name).as_posix() for name in names)

    def projects(self) -> set[str]:
        return {path.name for path in (self._web / "simple").glob("*") if path.is_dir()}


class Memory:
    """A tree in memory; `objects` returns what is in it now."""

    def __init__(self, objects: Callable[[], Objects]) -> None:
        self._objects = objects

    def read(self, path: str) -> bytes | None:
        found = self._objects().get(StorePath(path))
        return None if found is None else found[0]

    def paths(self, below: str = "") -> Iterator[str]:
        return (path for path in self._objects() if path.startswith(below))

    def projects(self) -> set[str]:
        return {path.split("/")[1] for path in self.paths("simple/") if path.count("/") > 1}


def pages(tree: Tree) -> Iterator[tuple[str, str, str]]:
    """Return the path, the project and the form of each file that belongs to a project's page."""
    for path in tree.paths("simple"):
        found = page_at(path)
        if found is not None:
            yield path, *found


@functools.lru_cache(maxsize=65_536)
def page_at(path: str) -> tuple[str, str] | None:
    """Return the project and the form of the page at `path`, None where it is no project's page."""
    match = _PAGE.fullmatch(path)
    return None if match is None else (match[1], match[2])


@functools.lru_cache(maxsize=65_536)
def object_at(path: str) -> tuple[str, str] | None:
    """Return the digest (hex) in a distribution's path and its file name, None where it is no such path."""
    match = _OBJECT.fullmatch(path)
    return None if match is None else (match[1] + match[2] + match[3], match[4])


def sha256(body: bytes) -> str:
    """Return the digest in hex."""
    return _small_sha256(body) if len(body) < _SMALL else hashlib.sha256(body).hexdigest()


def blake2b(body: bytes) -> str:
    """Return the digest of 32 bytes in hex."""
    return _small_blake2b(body) if len(body) < _SMALL else hashlib.blake2b(body, digest_size=32).hexdigest()


@functools.lru_cache(maxsize=65_536)
def _small_sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@functools.lru_cache(maxsize=65_536)
def _small_blake2b(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=32).hexdigest()
