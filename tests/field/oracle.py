"""What a client sees of a mirror, held against what upstream says: the same questions for every program.

It asks for less than tests/support/pypi/checker.py: what other programs leave out by design (provenance, serials of
single projects, upload times) is not counted against them.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from tests.support.pypi.checker import check_links
from tests.support.pypi.published import Published, Unreadable, read_json, read_root_json
from tests.support.pypi.values import Page, normalise
from tests.support.pypi.world import World


def differences(web: Path, world: World, *, only: Collection[str] | None = None, sidecars: bool = True) -> list[str]:
    """Return how the served projects, files, digests, yanks, sidecars and the root list differ from the world's."""
    expected = world.expected()
    wanted = {name for name in expected.pages if only is None or name in only}
    served = pages(web)
    problems = [f"{name}: served, and upstream has no such project" for name in sorted(served - wanted)]
    for name in sorted(wanted):
        if name in served:
            problems += [
                f"{name}: {problem}" for problem in _page_problems(web, expected.pages[name], sidecars=sidecars)
            ]
        elif expected.pages[name].status != "quarantined":
            problems.append(f"{name}: no page")
    listed = sorted(row.name for row in expected.root if row.name in wanted)
    if root_names(web) != listed:
        problems.append(f"the root list has {root_names(web)}, upstream {listed}")
    return problems + check_links(web)


def pages(web: Path) -> set[str]:
    """Return the names of the projects that have a page."""
    return {path.parent.name for path in (web / "simple").glob("*/index.v1_json")}


def page(web: Path, name: str) -> Published | None:
    """Return a project's page, None where there is none. Raises: Unreadable."""
    path = web / "simple" / name / "index.v1_json"
    return read_json(path.read_bytes()) if path.exists() else None


def files(web: Path, name: str) -> list[str]:
    """Return the file names that a project's page offers; none where there is no page."""
    found = page(web, name)
    return [] if found is None else sorted(link.filename for link in found.links)


def root_names(web: Path) -> list[str]:
    """Return the normalised names in the root list, in their order."""
    path = web / "simple" / "index.v1_json"
    return sorted(normalise(name) for name in read_root_json(path.read_bytes())) if path.exists() else []


def leftovers(web: Path, world: World) -> list[str]:
    """Return served paths below packages/ that upstream's file host never had: temporary and partial files."""
    found = (path.relative_to(web).as_posix() for path in (web / "packages").rglob("*") if path.is_file())
    return [f"{path} is left over" for path in sorted(found) if path not in world.objects]


def markup(web: Path, pattern: str) -> list[str]:
    """Return the HTML pages whose text holds `pattern` unescaped."""
    found = sorted((web / "simple").rglob("*.*html"))
    return [f"{path.parent.name}/{path.name} holds {pattern}" for path in found if pattern in path.read_text()]


def _page_problems(web: Path, expected: Page, *, sidecars: bool) -> Iterator[str]:
    try:
        published = page(web, expected.name)
    except Unreadable as error:
        yield str(error)
        return
    assert published is not None
    told = {
        link.filename: (
            link.sha256,
            bool(link.yanked),
            link.requires_python,
            link.metadata_sha256 if sidecars else None,
        )
        for link in published.links
    }
    true = {
        file.filename: (
            file.sha256,
            bool(file.yanked),
            file.requires_python,
            file.metadata_sha256 if sidecars else None,
        )
        for file in expected.files
    }
    for filename in sorted(told.keys() | true.keys()):
        if told.get(filename) != true.get(filename):
            yield f"{filename}: {_short(told.get(filename))}, upstream {_short(true.get(filename))}"


def _short(entry: object) -> str:
    return "not named" if entry is None else re.sub(r"([0-9a-f]{8})[0-9a-f]{56}", r"\1…", repr(entry))
