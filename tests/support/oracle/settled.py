"""How the tree of a mirror that has completed a sync differs from what upstream serves now (I3)."""

import sqlite3
import urllib.parse
from collections.abc import Iterator

import msgspec

from tests.support.oracle.instant import claims
from tests.support.oracle.links import target
from tests.support.oracle.pages import (
    FORMS,
    JSON_FORM,
    PublishedPage,
    UnreadablePage,
    read_page,
    read_root_html,
    read_root_json,
)
from tests.support.oracle.terms import Terms
from tests.support.oracle.trees import Tree
from tests.support.pypi.values import Expected, Page, WorldFile, normalise
from tests.support.pypi.world import World

Bodies = dict[str, bytes]
"""A page's bodies by form."""


def differences(tree: Tree, world: World, terms: Terms) -> Iterator[str]:
    """Yield how pages and root index differ from the world's. Serials of pages may lag, but never lead."""
    expected = terms.expected(world.expected())
    present = tree.projects()
    yield from (f"{name}: served, and upstream has no such project" for name in present - set(expected.pages))
    for name, page in expected.pages.items():
        if name in present:
            yield from (f"{name}: {problem}" for problem in _page_problems(tree, page, terms))
        elif not (terms.quarantined_may_be_absent and page.status == "quarantined"):
            yield f"{name}: no page"
    yield from (f"root: {problem}" for problem in _root_problems(tree, expected))


def remains(tree: Tree, world: World, terms: Terms, state: sqlite3.Connection | None) -> Iterator[str]:
    """Yield what a sweep should have removed, and the claims that do not equal upstream's serial."""
    named: set[str] = set()
    for path in tree.paths("simple"):
        folder, _, form = path.removeprefix("simple/").partition("/")
        if form == JSON_FORM:
            named |= _named(folder, tree.read(path) or b"", terms)
    yield from (f"{path}: no page names it" for path in tree.paths("packages") if path not in named)
    if state is None:
        return
    for who, serial in claims(tree, state).items():
        if serial != world.expected().serial:
            yield f"{who}: claims {serial}, upstream {world.expected().serial}"
    yield from (f"still condemned: {name}" for (name,) in state.execute("SELECT filename FROM condemned"))


def _named(name: str, body: bytes, terms: Terms) -> set[str]:
    try:
        links = read_page(body, JSON_FORM).links
    except UnreadablePage:
        return set()  # `differences` reports it
    paths = {target(name, link, terms.root_url) or "" for link in links}
    return paths | {f"{target(name, link, terms.root_url)}.metadata" for link in links if link.metadata_sha256}


def _bodies(tree: Tree, folder: str) -> Bodies | str:
    """Return the bodies in a folder, or which of them are missing."""
    found = {form: tree.read(f"{folder}/{form}") for form in FORMS}
    missing = sorted(form for form, body in found.items() if body is None)
    return f"without {', '.join(missing)}" if missing else {form: body or b"" for form, body in found.items()}


def _page_problems(tree: Tree, page: Page, terms: Terms) -> Iterator[str]:
    bodies = _bodies(tree, f"simple/{page.name}")
    if isinstance(bodies, str):
        yield bodies
        return
    if bodies["index.html"] != bodies["index.v1_html"]:
        yield "index.html and index.v1_html differ"
    try:
        json_page, html_page = (read_page(bodies[form], form) for form in (JSON_FORM, "index.html"))
    except UnreadablePage as error:
        yield str(error)
        return
    plain = tuple(msgspec.structs.replace(link, url=link.url.partition("#")[0]) for link in json_page.links)
    if html_page.links != plain:
        yield "HTML and JSON name different files, or say different things of them"
    if html_page.status != json_page.status:
        yield f"HTML says {html_page.status}, JSON {json_page.status}"
    yield from _differences(json_page, page, terms)


def _differences(published: PublishedPage, page: Page, terms: Terms) -> Iterator[str]:
    if published.name != page.name:
        yield f"its name is {published.name}"
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


def _file_differences(published: PublishedPage, number: int, file: WorldFile, terms: Terms) -> Iterator[str]:
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
    if terms.files and terms.shape.hashed_paths and target(published.name, link, terms.root_url) != file.path:
        yield f"{file.filename}: its link leads to {link.url}, not to /{file.path}"
    if not terms.files and not urllib.parse.unquote(link.url.partition("#")[0]).endswith(f"/{file.filename}"):
        yield f"{file.filename}: its link leads to {link.url}"


def _root_problems(tree: Tree, expected: Expected) -> Iterator[str]:
    bodies = _bodies(tree, "simple")
    if isinstance(bodies, str):
        yield bodies
        return
    if bodies["index.html"] != bodies["index.v1_html"]:
        yield "index.html and index.v1_html differ"
    wanted = sorted(listed.name for listed in expected.root)
    try:
        in_json = [normalise(name) for name in read_root_json(bodies[JSON_FORM])]
        in_html = read_root_html(bodies["index.html"])
    except UnreadablePage as error:
        yield str(error)
        return
    if sorted(in_json) != wanted:
        yield f"JSON lists {in_json}, upstream {wanted}"
    if sorted(normalise(text) for _, text in in_html) != wanted:
        yield f"HTML lists {[text for _, text in in_html]}, upstream {wanted}"
    yield from (f"{text} leads to {path}" for path, text in in_html if path != f"/simple/{normalise(text)}/")
