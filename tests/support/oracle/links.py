"""Whether the links of published pages lead to the promised bytes (I1)."""

import functools
import urllib.parse
from collections.abc import Iterator
from typing import NamedTuple

from tests.support.oracle.pages import Link, UnreadablePage, read_page
from tests.support.oracle.terms import STRICT, Terms
from tests.support.oracle.trees import Tree, blake2b, object_at, pages, sha256

_REREADS = 10


def broken_links(tree: Tree, terms: Terms = STRICT) -> Iterator[str]:
    """Yield the links that lead to no bytes or to other bytes than promised.

    The mirror may be at work meanwhile: a page counts only if it is still the same after its links were followed.
    """
    for path, name, form in pages(tree):
        for _ in range(_REREADS):
            body = tree.read(path)
            if body is None:
                break
            found = list(_link_problems(tree, name, form, body, terms))
            if not found:
                break
            if tree.read(path) == body:
                yield from (f"I1 {path}: {problem}" for problem in found)
                break
        else:
            yield f"I1 {path}: changed {_REREADS} times while it was checked"


class _Promise(NamedTuple):
    """What one link of a page promises: bytes at a path, or nothing in the mirror (the path is None)."""

    url: str
    path: str | None
    sha256: str
    size: int | None


def _link_problems(tree: Tree, name: str, form: str, body: bytes, terms: Terms) -> Iterator[str]:
    try:
        promises = _promises(name, form, body, terms.root_url)
    except UnreadablePage as error:
        yield str(error)
        return
    for promise in promises:
        if promise.path is None:
            yield f"{promise.url} leads out of the mirror"
            continue
        found = tree.read(promise.path)
        filename = promise.path.rpartition("/")[2]
        if found is None:
            yield f"{filename} is named and is not there"
        elif sha256(found) != promise.sha256:
            yield f"{filename} has {len(found)} bytes of another digest than the page promises"
        elif promise.size not in (None, len(found)):
            yield f"{filename} has {len(found)} bytes and the page promises {promise.size}"


@functools.lru_cache(maxsize=65_536)
def _promises(name: str, form: str, body: bytes, root_url: str) -> list[_Promise]:
    """Return the promises of a page, files and sidecars. Raises: UnreadablePage."""
    page = read_page(body, form)
    found = []
    for link, size in zip(page.links, page.sizes or (None,) * len(page.links), strict=True):
        path = target(name, link, root_url)
        found.append(_Promise(link.url, path, link.sha256, size))
        if path is not None and link.metadata_sha256 is not None:
            found.append(_Promise(link.url, f"{path}.metadata", link.metadata_sha256, None))
    return found


def target(name: str, link: Link, root_url: str) -> str | None:
    """Return the path that a link on the project's page leads to, None where it leaves the mirror."""
    root = f"{root_url}/"
    url = urllib.parse.urljoin(f"{root}simple/{name}/", link.url)
    return urllib.parse.unquote(url.removeprefix(root)) if url.startswith(root) else None


def partial_objects(tree: Tree) -> Iterator[str]:
    """Yield the files below packages/ whose bytes are not those that their path promises (I4)."""
    for path in tree.paths("packages"):
        found = object_at(path)
        if found is None or found[1].endswith(".metadata"):
            continue
        body = tree.read(path)
        if body is not None and blake2b(body) != found[0]:
            yield f"I4 {path}: {len(body)} bytes that are not those of its path"
