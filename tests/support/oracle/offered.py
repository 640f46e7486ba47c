"""What a client is offered by any mirror program, compared with what upstream offers.

Lenient where programs differ by design: provenance, serials of single projects, sizes and upload times do not count.
"""

import re
from collections.abc import Iterator

from tests.support.oracle.links import broken_links
from tests.support.oracle.pages import JSON_FORM, PublishedPage, UnreadablePage, read_json, read_root_json
from tests.support.oracle.terms import Terms
from tests.support.oracle.trees import Tree
from tests.support.pypi.values import Page, normalise
from tests.support.pypi.world import World


def offer_differences(tree: Tree, world: World, terms: Terms) -> Iterator[str]:
    """Yield how the projects, files, digests, yanks, sidecars and the root list differ from the world's."""
    expected = terms.expected(world.expected())
    served = project_names(tree)
    yield from (f"{name}: served, and upstream has no such project" for name in sorted(served - set(expected.pages)))
    for name, page in sorted(expected.pages.items()):
        if name in served:
            yield from (f"{name}: {problem}" for problem in _page_differences(tree, page, terms))
        elif not (terms.quarantined_may_be_absent and page.status == "quarantined"):
            yield f"{name}: no page"
    listed = sorted(row.name for row in expected.root)
    if root_names(tree) != listed:
        yield f"the root list has {root_names(tree)}, upstream {listed}"
    yield from broken_links(tree, terms)


def project_names(tree: Tree) -> set[str]:
    """Return the names of the projects that have a JSON page."""
    paths = (path.split("/") for path in tree.paths("simple"))
    return {segments[1] for segments in paths if len(segments) == 3 and segments[2] == JSON_FORM}


def project_page(tree: Tree, name: str) -> PublishedPage | None:
    """Return a project's page, None where there is none. Raises: UnreadablePage."""
    body = tree.read(f"simple/{name}/{JSON_FORM}")
    return None if body is None else read_json(body)


def offered_files(tree: Tree, name: str) -> list[str]:
    """Return the file names on a project's page, sorted; none where there is no page."""
    page = project_page(tree, name)
    return [] if page is None else sorted(link.filename for link in page.links)


def root_names(tree: Tree) -> list[str]:
    """Return the normalised names in the root list, sorted."""
    body = tree.read("simple/index.v1_json")
    return [] if body is None else sorted(normalise(name) for name in read_root_json(body))


def leftovers(tree: Tree, world: World) -> list[str]:
    """Return the paths below packages/ that upstream's file host never had: temporary and partial files."""
    return [f"{path} is left over" for path in sorted(tree.paths("packages")) if path not in world.objects]


def pages_with(tree: Tree, text: bytes) -> list[str]:
    """Return the HTML pages that hold `text` unescaped."""
    found = (path for path in sorted(tree.paths("simple")) if path.endswith("html"))
    return [f"{path} holds {text!r}" for path in found if text in (tree.read(path) or b"")]


def _page_differences(tree: Tree, expected: Page, terms: Terms) -> Iterator[str]:
    try:
        published = project_page(tree, expected.name)
    except UnreadablePage as error:
        yield str(error)
        return
    assert published is not None
    shown = {
        link.filename: (link.sha256, bool(link.yanked), link.requires_python, link.metadata_sha256)
        for link in published.links
    }
    wanted = {
        file.filename: (file.sha256, bool(file.yanked), file.requires_python, file.metadata_sha256)
        for file in expected.files
    }
    compared = 4 if terms.sidecars else 3
    for filename in sorted(shown.keys() | wanted.keys()):
        has, wants = (found.get(filename, ("not named",))[:compared] for found in (shown, wanted))
        if has != wants:
            yield f"{filename}: {_short(has)}, upstream {_short(wants)}"


def _short(entry: object) -> str:
    return re.sub(r"([0-9a-f]{8})[0-9a-f]{56}", r"\1…", repr(entry))
