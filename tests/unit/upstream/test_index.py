import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Final

import pytest
import trio

from mirrorsync.errors import (
    Malformed,
    MirrorsyncError,
    NoChangelog,
    NoListing,
    ProjectGone,
    Recovery,
    StalePage,
    Throttled,
    Unreachable,
)
from mirrorsync.model.change import SnapshotPart
from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.model.page import ProjectPage, Unchanged
from mirrorsync.upstream.index import SIMPLE_JSON, SimpleIndex
from tests.support.pypi.faults import (
    Body,
    DelayHeaders,
    Endless,
    False404,
    Fault,
    HugeHeader,
    MediaType,
    Portal,
    Redirect,
    Stall,
    Status,
    Throttle429,
    Truncate,
    TruncatedXML,
)
from tests.support.pypi.server import PyPI
from tests.support.pypi.values import Shape
from tests.support.pypi.world import World
from tests.support.upstream import request_page
from tests.unit.upstream.opening import SILENCE, open_at

HOLY: Final = ProjectName("holy-grail")
PAGE: Final = r"^/simple/holy-grail/"
ROOT: Final = r"^/simple/$"
MIB: Final = 1024 * 1024
BOMB: Final = gzip.compress(bytes(80 * MIB))
CUTS: Final = (Truncate(10), TruncatedXML(0.5), Truncate(None), Body(b""))


@pytest.fixture(autouse=True)
def grail(world: World) -> int:
    """Create a project and return its serial."""
    world.upload("Holy_Grail", "1.0")
    return world.last_serial or 0


@pytest.fixture
async def index(pypi: PyPI) -> AsyncIterator[SimpleIndex]:
    async with open_at(pypi.url, feed="json", silence=SILENCE) as opened:
        yield opened


@pytest.fixture
def proxy(world: World) -> Iterator[PyPI]:
    with PyPI(world, shape=Shape.plain_proxy()) as serving:
        yield serving


async def page_of(index: SimpleIndex, *, at_least: int = 0, attempt: int = 0) -> ProjectPage:
    page = await request_page(index, HOLY, at_least=at_least, attempt=attempt)
    assert isinstance(page, ProjectPage)
    return page


async def listing_of(index: SimpleIndex) -> list[SnapshotPart]:
    return [part async for part in index.snapshot()]


async def test_page_has_its_serial_and_costs_one_request(pypi: PyPI, index: SimpleIndex, grail: int) -> None:
    page = await page_of(index, at_least=grail)
    assert page.serial == grail
    assert [file.filename for file in page.files] == ["holy_grail-1.0-py3-none-any.whl"]
    assert page.files[0].url.startswith(f"{pypi.url}/packages/")
    (request,) = pypi.requests
    assert request.headers["accept"] == SIMPLE_JSON
    assert request.headers["accept-encoding"] == "gzip"
    assert "if-none-match" not in request.headers
    assert request.path == "/simple/holy-grail/"


async def test_large_page_is_complete(index: SimpleIndex, world: World) -> None:
    for number in range(900):
        world.upload("Holy_Grail", f"2.{number}", filename=f"holy_grail-2.{number}.tar.gz", content=b"%d" % number)
    assert len((await page_of(index)).files) == 901


async def test_304_is_accepted_only_if_requested(pypi: PyPI, index: SimpleIndex, world: World) -> None:
    etag = (await page_of(index)).etag
    assert etag
    assert await request_page(index, HOLY, etag=etag) == Unchanged(name=HOLY)
    world.upload("Holy_Grail", "2.0")
    assert isinstance(await request_page(index, HOLY, etag=etag), ProjectPage)
    pypi.faults.add(PAGE, Status(304))
    with pytest.raises(Malformed, match="304"):
        await page_of(index)


async def test_304_keeps_its_connection(pypi: PyPI, index: SimpleIndex) -> None:
    etag = (await page_of(index)).etag
    for _ in range(3):
        await request_page(index, HOLY, etag=etag)
    assert pypi.log.connections == 1


async def test_page_behind_the_changelog_is_stale(pypi: PyPI, index: SimpleIndex, world: World, grail: int) -> None:
    pypi.hold("holy-grail")
    world.upload("Holy_Grail", "2.0")
    with pytest.raises(StalePage, match=rf"serial {grail}, and {world.last_serial} is wanted"):
        await page_of(index, at_least=world.last_serial or 0)
    assert (await page_of(index, at_least=grail)).serial == grail
    pypi.release("holy-grail")
    assert (await page_of(index, at_least=world.last_serial or 0)).serial == world.last_serial


async def test_next_attempt_after_a_stale_page_requests_another_coding(
    pypi: PyPI, index: SimpleIndex, world: World
) -> None:
    pypi.hold("holy-grail", variant="gzip")
    world.upload("Holy_Grail", "2.0")
    wanted = world.last_serial or 0
    with pytest.raises(StalePage):
        await page_of(index, at_least=wanted, attempt=0)
    assert (await page_of(index, at_least=wanted, attempt=1)).serial == wanted
    with pytest.raises(StalePage):
        await page_of(index, at_least=wanted, attempt=2)


async def test_a_page_whose_header_and_body_disagree_is_stale(pypi: PyPI, index: SimpleIndex) -> None:
    body = b'{"meta":{"_last-serial":7,"api-version":"1.4"},"name":"holy-grail","files":[],"versions":[]}'
    pypi.faults.add(PAGE, Status(200, (("X-PyPI-Last-Serial", "9"),), body, SIMPLE_JSON))
    with pytest.raises(StalePage, match="header says serial 9 and its body 7"):
        await page_of(index)


async def test_serial_only_in_the_header_is_used(pypi: PyPI, index: SimpleIndex) -> None:
    body = b'{"meta":{"api-version":"1.4"},"name":"holy-grail","files":[],"versions":[]}'
    pypi.faults.add(PAGE, Status(200, (("X-PyPI-Last-Serial", "9"),), body, SIMPLE_JSON))
    assert (await page_of(index, at_least=9)).serial == 9
    with pytest.raises(StalePage):
        await page_of(index, at_least=10)


async def test_page_without_a_serial_is_accepted(world: World) -> None:
    with PyPI(world, shape=Shape(serials=False, serial_headers=False)) as plain:
        async with open_at(plain.url, feed="json") as index:
            page = await request_page(index, HOLY, at_least=10**9)
    assert isinstance(page, ProjectPage)
    assert page.serial is None


async def test_404_page_is_gone(pypi: PyPI, index: SimpleIndex) -> None:
    pypi.faults.add(PAGE, False404())
    with pytest.raises(ProjectGone):
        await page_of(index)
    assert len(pypi.requests) == 1


async def test_html_in_place_of_json_is_reported_as_a_portal(pypi: PyPI, index: SimpleIndex) -> None:
    pypi.faults.add(PAGE, Portal())
    with pytest.raises(Malformed, match="'text/html', not application/vnd") as failed:
        await page_of(index)
    assert "portal" in failed.value.hint


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Status(400), Malformed),
        (Status(204, body=b""), Malformed),
        (Status(401), Unreachable),
        (Status(407), Unreachable),
        (Status(500), Unreachable),
        (Status(503), Unreachable),
        (Status(503, (("Retry-After", "900"),)), Throttled),
        (Status(503, (("Retry-After", "soon"),)), Unreachable),
        (Throttle429(900), Throttled),
        (Throttle429("Wed, 21 Oct 2999 07:28:00 GMT"), Throttled),
        (Throttle429("9" * 400), Throttled),
        (Throttle429("99999999"), Throttled),
        (Throttle429(), Throttled),
        (MediaType("application/json"), Malformed),
        (MediaType("application/vnd.pypi.simple.v2+json"), Malformed),
        (Truncate(10), Malformed),
        (Truncate(None), Unreachable),
        (TruncatedXML(0.5), Malformed),
        (Body(b"[" * 100_000), Malformed),
        (Body(b"\xff"), Malformed),
        (Endless(), Malformed),
        (HugeHeader(), Unreachable),
        (Stall(None), Unreachable),
        (Stall(20), Unreachable),
        (DelayHeaders(60), Unreachable),
        (Status(200, (("Content-Encoding", "gzip"),), BOMB, SIMPLE_JSON), Malformed),
        (Status(200, (("Content-Encoding", "gzip"),), BOMB[:1000], SIMPLE_JSON), Malformed),
        (Status(200, (("Content-Encoding", "br"),), b"x", SIMPLE_JSON), Malformed),
        (Redirect("https://evil.test/simple/holy-grail/"), Malformed),
        (Redirect("/simple/other/"), Malformed),
        (Redirect("/simple/holy-grail/"), Malformed),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Fault) else "",
)
async def test_every_fault_of_a_page_is_an_expected_error(
    pypi: PyPI, index: SimpleIndex, fault: Fault, error: type[MirrorsyncError]
) -> None:
    pypi.faults.add(PAGE, fault)
    with pytest.raises(error) as failed, trio.fail_after(20):
        await page_of(index)
    assert failed.value.why
    if isinstance(failed.value, Throttled) and failed.value.retry_after is not None:
        assert 0 < failed.value.retry_after <= 86_400


@pytest.mark.parametrize("after", [None, 20])
async def test_silence_is_reported_in_seconds(pypi: PyPI, index: SimpleIndex, after: int | None) -> None:
    pypi.faults.add(PAGE, Stall(after))
    with pytest.raises(Unreachable, match=rf"no byte for {SILENCE:g} s"):
        await page_of(index)


async def test_gzip_bomb_is_stopped_at_the_page_limit(pypi: PyPI, index: SimpleIndex) -> None:
    pypi.faults.add(PAGE, Status(200, (("Content-Encoding", "gzip"),), BOMB, SIMPLE_JSON))
    tracemalloc.start()
    with pytest.raises(Malformed, match="more than 64 MiB"):
        await page_of(index)
    assert tracemalloc.get_traced_memory()[1] < 70 * MIB
    tracemalloc.stop()


async def test_blocked_address_is_reported_and_not_retried(pypi: PyPI, index: SimpleIndex) -> None:
    pypi.faults.add(PAGE, Status(403, body=b"Your IP has been temporarily blocked"))
    with pytest.raises(Unreachable, match="blocked") as failed:
        await page_of(index)
    assert failed.value.retry_after == 3600
    assert failed.value.hint
    assert len(pypi.requests) == 1


async def test_passing_fault_is_hidden_by_a_retry(pypi: PyPI, index: SimpleIndex, grail: int) -> None:
    for fault in (Status(502), Truncate(5)):
        pypi.faults.add(PAGE, fault, times=1)
    assert (await page_of(index)).serial == grail
    assert len(pypi.requests) == 3


async def test_a_redirect_to_the_same_name_is_followed(pypi: PyPI, index: SimpleIndex, grail: int) -> None:
    pypi.faults.add(PAGE, Redirect("/simple/Holy.Grail/", 301), times=2)  # together with others, and on its own
    assert (await page_of(index)).serial == grail
    assert [request.path for request in pypi.requests][1:3] == ["/simple/holy-grail/", "/simple/Holy.Grail/"]


async def test_cookies_are_not_kept(pypi: PyPI, index: SimpleIndex) -> None:
    pypi.faults.add(PAGE, Status(500, (("Set-Cookie", "a=b; Path=/"),)), times=1)
    await page_of(index)
    assert all("cookie" not in request.headers for request in pypi.requests)


async def test_project_is_absent_only_if_two_resources_are_404(pypi: PyPI, index: SimpleIndex, world: World) -> None:
    assert not await index.is_absent(HOLY)
    world.create("empty")  # the JSON API knows no project without releases
    assert not await index.is_absent(ProjectName("empty"))
    assert await index.is_absent(ProjectName("never-was"))
    pypi.faults.add("^/pypi/", False404())
    assert not await index.is_absent(HOLY)
    world.remove_project("holy-grail")
    assert await index.is_absent(HOLY)


async def test_failing_second_resource_is_an_error(pypi: PyPI, index: SimpleIndex) -> None:
    pypi.faults.add("^/pypi/", False404())
    pypi.faults.add(PAGE, Status(500))
    with pytest.raises(Unreachable):
        await index.is_absent(HOLY)


async def test_root_list_is_yielded_in_bounded_parts(pypi: PyPI, index: SimpleIndex, world: World) -> None:
    for number in range(4_999):
        world.create(f"project-{number}")
    parts = await listing_of(index)
    assert max(len(part.projects) for part in parts) <= 2_000
    assert sum(len(part.projects) for part in parts) == 5_000
    assert parts[-1].serial == world.last_serial
    listed = {one.name: one for part in parts for one in part.projects}
    assert listed[HOLY].display_name == "Holy_Grail"
    assert {name: one.serial for name, one in listed.items()} == {one.name: one.serial for one in world.expected().root}
    assert len(pypi.requests) == 1


async def test_root_list_without_serials_is_accepted(world: World) -> None:
    with PyPI(world, shape=Shape(serials=False)) as plain:
        async with open_at(plain.url, feed="json") as index:
            (part,) = await listing_of(index)
    assert part.serial is None
    assert [one.serial for one in part.projects] == [None]


async def test_serials_as_text_are_accepted(world: World, grail: int) -> None:
    with PyPI(world, shape=Shape(serial_as_string=True, gzip=False)) as other:
        async with open_at(other.url, feed="json") as index:
            (part,) = await listing_of(index)
    assert part.serial == grail
    assert [one.serial for one in part.projects] == [grail]


@pytest.mark.parametrize("fault", CUTS, ids=range(len(CUTS)))
async def test_cut_root_list_is_an_error(pypi: PyPI, index: SimpleIndex, fault: Fault) -> None:
    pypi.faults.add(ROOT, fault)
    with pytest.raises((Malformed, Unreachable)):
        await listing_of(index)


async def test_cut_root_list_is_retried(pypi: PyPI, index: SimpleIndex) -> None:
    pypi.faults.add(ROOT, Truncate(10), times=2)
    assert len(await listing_of(index)) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Status(404), NoListing),
        (MediaType("text/html"), NoListing),
        (Portal(), NoListing),
        (MediaType("application/json"), Malformed),
        (Body(b'{"meta":{}}'), Malformed),
        (Body(b'{"meta":{"_last-serial":1},"projects":[' + b"9" * 5000 + b"]}"), Malformed),
        (Status(500), Unreachable),
        (Throttle429(900), Throttled),
        (Redirect("https://evil.test/simple/"), Malformed),
    ],
    ids=range(9),
)
async def test_invalid_root_list_is_an_expected_error(
    pypi: PyPI, index: SimpleIndex, fault: Fault, error: type[MirrorsyncError]
) -> None:
    pypi.faults.add(ROOT, fault)
    with pytest.raises(error):
        await listing_of(index)


async def test_leaving_the_root_list_early_holds_no_connection(pypi: PyPI, world: World) -> None:
    for number in range(3_000):
        world.create(f"project-{number}")
    connections = trio.CapacityLimiter(1)
    async with open_at(pypi.url, feed="json", connections=connections) as index, aclosing(index.snapshot()) as parts:
        await anext(parts)
        assert connections.borrowed_tokens == 0
        assert (await page_of(index)).name == HOLY


async def test_index_without_a_changelog_raises_no_changelog(index: SimpleIndex) -> None:
    with pytest.raises(NoChangelog):
        await index.last_serial()
    with pytest.raises(NoChangelog):
        await anext(index.changes(Serial(0)))


async def test_plain_caching_proxy_works_as_upstream(proxy: PyPI) -> None:
    async with open_at(proxy.url) as upstream:
        assert (await page_of(upstream)).files[0].filename == "holy_grail-1.0-py3-none-any.whl"
        with pytest.raises(NoListing):
            await listing_of(upstream)
        with pytest.raises(NoChangelog):
            await upstream.last_serial()


async def test_index_below_a_path_is_requested_there(pypi: PyPI) -> None:
    async with open_at(f"{pypi.url}/team/index/simple/") as upstream:
        with pytest.raises(ProjectGone):
            await page_of(upstream)
    assert pypi.requests[0].path == "/team/index/simple/holy-grail/"


async def test_invalid_name_in_the_root_list_is_skipped_and_logged(
    pypi: PyPI, index: SimpleIndex, caplog: pytest.LogCaptureFixture
) -> None:
    body = json.dumps({"meta": {}, "projects": [{"name": "../etc"}, {"name": "good"}]}).encode()
    pypi.faults.add(ROOT, Body(body))
    (part,) = await listing_of(index)
    assert [one.name for one in part.projects] == ["good"]
    assert "1 entries" in caplog.text


async def test_cut_response_is_retryable(pypi: PyPI, index: SimpleIndex) -> None:
    pypi.faults.add(PAGE, Truncate(10))
    with pytest.raises(Malformed, match="3 attempts") as failed:
        await page_of(index)
    assert failed.value.recovery is Recovery.RETRY
