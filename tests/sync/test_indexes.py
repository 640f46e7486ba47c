"""Indexes with less than PyPI: no journal, no root list, no serials, no ETag, no sidecar digests."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from mirrorsync.errors import DifferentUpstream
from tests.support.mirror import Mirror
from tests.support.pypi.faults import Portal, Status
from tests.support.pypi.server import PyPI
from tests.support.pypi.values import Shape
from tests.support.pypi.world import World
from tests.sync.test_single_pass import page_requests, populate

NAMES = ["project-0", "Project.1", "empty"]
NORMAL = ["project-0", "project-1", "empty"]


@pytest.fixture(params=["plain proxy", "no serials", "no etags", "string serials", "relative urls", "own paths"])
def shape(request: pytest.FixtureRequest) -> Shape:
    bare = Shape(xmlrpc=False, root_json=False)
    shapes = {
        "plain proxy": Shape.plain_proxy(),
        "no serials": replace(bare, serials=False),
        "no etags": replace(bare, etags=False),
        "string serials": replace(bare, serial_as_string=True),
        "relative urls": replace(bare, relative_urls=True),
        "own paths": replace(bare, hashed_paths=False),
    }
    return shapes[str(request.param)]


async def test_named_projects_are_mirrored_without_the_root_list(tmp_path: Path, world: World, shape: Shape) -> None:
    populate(world)
    with PyPI(world, shape=shape) as pypi:
        mirror = Mirror(tmp_path / "mirror", pypi, select={"projects": NAMES})
        first = await mirror.sync()
        assert mirror.problems(projects=NORMAL) == []
        assert first.files == 5
        notices = " ".join(mirror.observer.notices)
        assert "it is unknown how far upstream is ahead" in notices
        assert ("metadata sidecars of 3 wheels" in notices) is not shape.sidecar_keys
        assert mirror.status()["synced_serial"] is None
        second = await mirror.sync()
        assert (second.files, second.errors) == (0, 0)
        world.upload("project-0", "3.0")
        third = await mirror.sync()
        assert third.files == 1
        assert mirror.problems(projects=NORMAL) == []
        assert not [request for request in pypi.requests if request.path == "/simple/"]


async def test_unchanged_page_costs_a_304(tmp_path: Path, world: World) -> None:
    populate(world)
    with PyPI(world, shape=Shape(xmlrpc=False)) as pypi:
        mirror = Mirror(tmp_path / "mirror", pypi, select={"projects": NAMES})
        await mirror.sync()
        pypi.clear_requests()
        await mirror.sync()
        assert sorted(request.status for request in pypi.requests if request.method == "GET") == [304, 304, 304]


async def test_without_a_journal_the_root_list_is_followed(tmp_path: Path, world: World) -> None:
    populate(world)
    with PyPI(world, shape=Shape(xmlrpc=False)) as pypi:
        mirror = Mirror(tmp_path / "mirror", pypi)
        await mirror.sync()
        assert mirror.problems() == []
        assert mirror.status()["synced_serial"] == world.last_serial
        pypi.clear_requests()
        world.upload("project-2", "5.0")
        world.remove_project("project-3")
        await mirror.sync()
        assert sorted(page_requests(pypi)) == ["project-2", "project-3"]
        assert mirror.page("project-2")["versions"] == ["1.0", "5.0"]
        mirror.clock.forward(181)  # the list and a page that is gone twice, three minutes apart
        await mirror.sync()
        assert mirror.problems() == []


async def test_a_broken_journal_falls_back_to_the_root_list(mirror: Mirror, pypi: PyPI, world: World) -> None:
    populate(world)
    pypi.faults.add("^/pypi$", Portal(), method="POST")
    await mirror.sync()
    assert mirror.problems() == []


async def test_feed_json_never_asks_for_the_journal(tmp_path: Path, pypi: PyPI, world: World) -> None:
    populate(world)
    mirror = Mirror(tmp_path / "mirror", pypi, upstream={"feed": "json"})
    await mirror.sync()
    assert mirror.problems() == []
    assert not [request for request in pypi.requests if request.method == "POST"]


async def test_root_list_without_serials_leads_to_conditional_requests(tmp_path: Path, world: World) -> None:
    populate(world)
    with PyPI(world, shape=Shape(xmlrpc=False, serials=False)) as pypi:
        mirror = Mirror(tmp_path / "mirror", pypi)
        await mirror.sync()
        assert mirror.problems() == []
        world.upload("project-2", "5.0")
        await mirror.sync()
        assert mirror.problems() == []


async def test_files_are_downloaded_only_from_allowed_hosts(tmp_path: Path, world: World) -> None:
    populate(world)
    with PyPI(world, shape=Shape(files_elsewhere=True)) as pypi:
        refused = Mirror(tmp_path / "refused", pypi, upstream={"file-hosts": ["elsewhere.test"]})
        assert (await refused.sync()).files == 0
        assert "file-hosts" in str(list(refused.observer.outcomes))
        allowed = Mirror(tmp_path / "allowed", pypi)
        await allowed.sync()
        assert allowed.problems() == []


async def test_an_index_only_mirror_links_to_upstreams_own_files(tmp_path: Path, pypi: PyPI, world: World) -> None:
    populate(world)
    mirror = Mirror(tmp_path / "mirror", pypi, content={"files": False})
    await mirror.sync()
    assert not pypi.seen("/packages/")
    assert mirror.page("project-0")["files"][0]["url"].startswith(pypi.files_url)
    assert mirror.problems(files=False) == []


async def test_without_metadata_no_sidecar_is_fetched_or_advertised(tmp_path: Path, pypi: PyPI, world: World) -> None:
    populate(world)
    mirror = Mirror(tmp_path / "mirror", pypi, content={"metadata": False})
    await mirror.sync()
    assert not pypi.seen(r"\.metadata$")
    assert mirror.problems(sidecars=False) == []


async def test_lost_sidecar_is_not_advertised_and_delays_nothing(mirror: Mirror, pypi: PyPI, world: World) -> None:
    populate(world)
    lost = pypi.faults.add(r"project_1-1\.0-py3-none-any\.whl\.metadata$", Status(403))
    totals = await mirror.sync()
    assert (totals.errors, totals.sidecars_lost) == (0, 1)
    wheel = next(file for file in mirror.page("project-1")["files"] if file["filename"].endswith(".whl"))
    assert wheel["core-metadata"] is False
    pypi.faults.remove(lost)
    await mirror.sync(["project-1"])
    assert mirror.problems() == []


async def test_another_upstream_in_the_same_directory_is_refused(tmp_path: Path, pypi: PyPI, world: World) -> None:
    populate(world)
    mirror = Mirror(tmp_path / "mirror", pypi)
    await mirror.sync()
    with PyPI(World()) as other, pytest.raises(DifferentUpstream):
        await Mirror(tmp_path / "mirror", other).sync()
    assert mirror.problems() == []


async def test_deselected_project_is_removed_and_returns_when_selected(
    tmp_path: Path, pypi: PyPI, world: World
) -> None:
    populate(world)
    await Mirror(tmp_path / "mirror", pypi).sync()
    fewer = Mirror(tmp_path / "mirror", pypi, select={"exclude": ["project-0"]})
    await fewer.sync()
    assert not (fewer.web / "simple" / "project-0").exists()
    again = Mirror(tmp_path / "mirror", pypi)
    pypi.clear_requests()
    await again.sync()
    assert again.problems() == []
    assert not pypi.seen("/packages/")


async def test_changed_content_settings_rerender_pages_without_downloads(
    tmp_path: Path, pypi: PyPI, world: World
) -> None:
    populate(world)
    await Mirror(tmp_path / "mirror", pypi).sync()
    pypi.clear_requests()
    mirror = Mirror(tmp_path / "mirror", pypi, content={"root-url": "https://mirror.test"})
    await mirror.sync()
    assert mirror.problems(root_url="https://mirror.test") == []
    assert not pypi.seen("/packages/")


async def test_legacy_document_is_mirrored_if_configured(tmp_path: Path, pypi: PyPI, world: World) -> None:
    populate(world)
    mirror = Mirror(tmp_path / "mirror", pypi, content={"legacy-json": True})
    await mirror.sync()
    assert mirror.problems() == []
    document = json.loads((mirror.web / "pypi" / "project-0" / "json").read_bytes())
    assert sorted(document["releases"]) == ["1.0", "2.0"]
    assert not (mirror.web / "pypi" / "empty" / "json").exists()
    world.remove_project("project-0")
    await mirror.sync()
    assert not (mirror.web / "pypi" / "project-0").exists()
    without = Mirror(tmp_path / "mirror", pypi)
    await without.sync()
    assert not list((mirror.web / "pypi").glob("*"))


async def test_legacy_document_is_not_requested_by_default(mirror: Mirror, pypi: PyPI, world: World) -> None:
    populate(world)
    await mirror.sync()
    assert not pypi.seen("/json$")
