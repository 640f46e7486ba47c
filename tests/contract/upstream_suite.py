"""The conformance suite of `mirrorsync.ports.Upstream`: subclass `UpstreamSuite` and provide the fixture `upstream`.

The fixture opens an upstream of the index that `pypi` serves. Its retries are fast and its silence limit is short.
"""

from contextlib import aclosing
from typing import Any, ClassVar, Final, cast

import pytest
import trio

from mirrorsync.errors import (
    Malformed,
    Missing,
    NoChangelog,
    NoListing,
    ProjectGone,
    Refused,
    StalePage,
    Throttled,
    Unreachable,
    UpstreamError,
    WrongSize,
)
from mirrorsync.model.change import ChangeBatch, SnapshotPart
from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.model.objects import Remote
from mirrorsync.model.page import ProjectPage, Unchanged
from mirrorsync.ports import Upstream
from tests.support.pypi.faults import Endless, Portal, Status, Throttle429, Truncate, TruncatedXML
from tests.support.pypi.server import PyPI
from tests.support.pypi.values import WorldFile
from tests.support.pypi.world import World
from tests.support.upstream import request_page

HOLY: Final = ProjectName("holy-grail")
NOTHING: Final = Serial(0)


async def journal_of(upstream: Upstream, since: int = 0) -> list[ChangeBatch]:
    async with aclosing(cast("Any", upstream.changes(Serial(since)))) as batches:
        return [batch async for batch in batches]


async def listing_of(upstream: Upstream) -> list[SnapshotPart]:
    async with aclosing(cast("Any", upstream.snapshot())) as parts:
        return [part async for part in parts]


async def page_of(upstream: Upstream, name: str = HOLY, *, at_least: int | None = 0) -> ProjectPage:
    page = await request_page(upstream, name, at_least=at_least or 0)
    assert isinstance(page, ProjectPage)
    return page


async def read_into(chunks: list[bytes], upstream: Upstream, remote: Remote) -> None:
    async with upstream.open(remote) as body:
        async for chunk in body:
            chunks.append(bytes(chunk))  # noqa: PERF401 - chunks received before a failure must be kept


class UpstreamSuite:
    """The contract of `ports.Upstream`."""

    has_journal: ClassVar[bool]

    @pytest.fixture
    def file(self, world: World) -> WorldFile:
        return world.upload("Holy_Grail", "1.0", filename="holy_grail-1.0.tar.gz", content=bytes(range(256)) * 800)

    async def test_identity_contains_no_secret(self, upstream: Upstream, pypi: PyPI) -> None:
        assert upstream.identity == pypi.url

    async def test_changelog_is_complete_and_ascending_or_absent(self, upstream: Upstream, world: World) -> None:
        world.upload("Holy_Grail", "1.0")
        world.skip_serials(7)
        world.remove_project("holy-grail")
        if not self.has_journal:
            with pytest.raises(NoChangelog):
                await upstream.last_serial()
            with pytest.raises(NoChangelog):
                await journal_of(upstream)
            return
        batches = await journal_of(upstream)
        serials = [change.serial for batch in batches for change in batch.changes]
        assert serials == sorted(set(serials))
        assert serials[-1] == batches[-1].upto == world.last_serial == await upstream.last_serial()
        assert [change.removes_project for batch in batches for change in batch.changes][-1]
        assert await journal_of(upstream, serials[-1]) == []

    async def test_changelog_is_read_until_it_is_empty(self, upstream: Upstream, pypi: PyPI, world: World) -> None:
        pypi.page_cap = 5
        for number in range(20):
            world.create(f"project-{number}")
        if self.has_journal:
            batches = await journal_of(upstream)
            assert sum(len(batch.changes) for batch in batches) == 40
            assert max(len(batch.changes) for batch in batches) <= 5

    async def test_cut_changelog_is_an_error(self, upstream: Upstream, pypi: PyPI, world: World) -> None:
        world.create("holy-grail")
        pypi.faults.add("^/pypi$", TruncatedXML(0.6))
        with pytest.raises(UpstreamError):
            await journal_of(upstream)

    async def test_root_list_matches_the_index(self, upstream: Upstream, world: World) -> None:
        for number in range(30):
            world.upload(f"Project.{number}", "1.0")
        world.quarantine("project-3")
        listed = {one.name: one for part in await listing_of(upstream) for one in part.projects}
        assert {(one.display_name, one.serial) for one in listed.values()} == {
            (one.display_name, one.serial) for one in world.expected().root
        }
        assert "project-3" not in listed

    @pytest.mark.parametrize("fault", [Truncate(200), TruncatedXML(0.9), Portal(), Status(404), Status(500)])
    async def test_incomplete_root_list_ends_in_an_error(
        self, upstream: Upstream, pypi: PyPI, world: World, fault: Any
    ) -> None:
        for number in range(30):
            world.create(f"project-{number}")
        pypi.faults.add("^/simple/$", fault)
        with pytest.raises((Malformed, NoListing, Unreachable)):
            await listing_of(upstream)

    async def test_page_has_at_least_the_wanted_serial_or_is_stale(
        self, upstream: Upstream, pypi: PyPI, world: World, file: WorldFile
    ) -> None:
        before = world.last_serial or 0
        pypi.hold(HOLY)
        world.upload("holy.grail", "2.0")
        page = await page_of(upstream, at_least=before)
        assert (page.name, page.serial) == (HOLY, before)
        assert [one.hashes.sha256.hex() for one in page.files] == [file.sha256]
        with pytest.raises(StalePage):
            await page_of(upstream, at_least=world.last_serial)
        pypi.release(HOLY)
        assert (await page_of(upstream, at_least=world.last_serial)).serial == world.last_serial

    async def test_page_is_unchanged_only_with_its_etag(self, upstream: Upstream, pypi: PyPI, file: WorldFile) -> None:
        page = await page_of(upstream)
        assert page.files[0].filename == file.filename
        again = await request_page(upstream, HOLY, etag=page.etag)
        assert again == Unchanged(name=HOLY)
        pypi.faults.add("^/simple/holy-grail/", Status(304))
        with pytest.raises(UpstreamError):
            await page_of(upstream)

    async def test_missing_project_is_gone_and_absent(self, upstream: Upstream, world: World) -> None:
        with pytest.raises(ProjectGone):
            await page_of(upstream)
        assert await upstream.is_absent(HOLY)
        world.create("Holy_Grail")
        assert (await page_of(upstream)).files == ()
        assert not await upstream.is_absent(HOLY)
        world.quarantine("Holy_Grail")
        assert (await page_of(upstream)).status == "quarantined"
        assert not await upstream.is_absent(HOLY)
        world.remove_project("Holy_Grail")
        assert await upstream.is_absent(HOLY)

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (Status(500), Unreachable),
            (Throttle429(900), Throttled),
            (Portal(), Malformed),
            (TruncatedXML(0.5), Malformed),
            (Endless(), Malformed),
        ],
        ids=range(5),
    )
    async def test_a_broken_page_is_an_expected_failure(
        self, upstream: Upstream, pypi: PyPI, file: WorldFile, fault: Any, error: type[UpstreamError]
    ) -> None:
        del file
        pypi.faults.add("^/simple/holy-grail/", fault)
        with pytest.raises(error):
            await page_of(upstream)

    async def test_body_is_complete_despite_broken_connections(
        self, upstream: Upstream, pypi: PyPI, file: WorldFile
    ) -> None:
        pypi.faults.add("^/packages/", Truncate(50_000), times=2)
        url = (await page_of(upstream)).files[0].url
        async with upstream.open(Remote(url=url, size=file.size, limit=file.size)) as body:
            assert b"".join([chunk async for chunk in body]) == file.content

    async def test_a_body_never_exceeds_its_limit(self, upstream: Upstream, pypi: PyPI, file: WorldFile) -> None:
        pypi.faults.add("^/packages/", Endless())
        chunks: list[bytes] = []
        with pytest.raises(WrongSize):
            await read_into(chunks, upstream, Remote(f"{pypi.files_url}/{file.path}", None, file.size))
        assert len(b"".join(chunks)) <= file.size

    @pytest.mark.parametrize("status", [403, 404])
    async def test_missing_body_is_reported_on_entering(
        self, upstream: Upstream, pypi: PyPI, file: WorldFile, status: int
    ) -> None:
        pypi.faults.add("^/packages/", Status(status))
        with pytest.raises(Missing):
            await upstream.open(Remote(f"{pypi.files_url}/{file.path}", file.size, file.size)).__aenter__()

    @pytest.mark.parametrize("url", ["https://evil.test/x", "http://u:p@127.0.0.1/x", "file:///etc/passwd", "x"])
    async def test_body_on_another_host_is_refused_without_a_request(
        self, upstream: Upstream, pypi: PyPI, url: str
    ) -> None:
        with pytest.raises(Refused):
            await upstream.open(Remote(url, 1, 1)).__aenter__()
        assert pypi.requests == []

    async def test_every_wait_can_be_cancelled(self, upstream: Upstream, pypi: PyPI, file: WorldFile) -> None:
        pypi.faults.add("/", Throttle429(15))
        started = trio.current_time()
        with trio.move_on_after(0.2):
            await page_of(upstream)
        with trio.move_on_after(0.2):
            async with upstream.open(Remote(f"{pypi.files_url}/{file.path}", file.size, file.size)):
                pytest.fail("it was opened")
        assert trio.current_time() - started < 2

    async def test_a_server_that_is_down_is_unreachable(self, upstream: Upstream, pypi: PyPI) -> None:
        pypi.stop()
        with pytest.raises(Unreachable):
            await page_of(upstream)
        with pytest.raises(Unreachable):
            await upstream.is_absent(HOLY)
        with pytest.raises(Unreachable):
            await listing_of(upstream)
