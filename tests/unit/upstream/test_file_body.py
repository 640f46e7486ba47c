import os
from collections.abc import Iterator
from typing import Final

import pytest
import trio

from mirrorsync.errors import DownloadError, Malformed, Missing, Refused, Throttled, Truncated, Unreachable, WrongSize
from mirrorsync.model.objects import Remote
from mirrorsync.upstream.file_body import MAX_RESTARTS
from tests.support.pypi.faults import (
    Body,
    DelayHeaders,
    Drip,
    Endless,
    Fault,
    Gzip,
    HugeHeader,
    IgnoreRange,
    Portal,
    Redirect,
    Reset,
    Stall,
    Status,
    Throttle429,
    Truncate,
)
from tests.support.pypi.faults import WrongSize as OtherSize
from tests.support.pypi.server import PyPI
from tests.support.pypi.values import Shape, WorldFile
from tests.support.pypi.world import World
from tests.unit.upstream.opening import SILENCE, fetch, fetch_into, open_at, remote_of

CONTENT: Final = bytes(range(256)) * 1024
FILES: Final = "/packages/"


@pytest.fixture
def file(world: World) -> WorldFile:
    return world.upload("holy", "1.0", filename="holy-1.0.tar.gz", content=CONTENT)


@pytest.fixture
def elsewhere(world: World) -> Iterator[PyPI]:
    with PyPI(world, shape=Shape(files_elsewhere=True)) as serving:
        yield serving


def ranges(pypi: PyPI) -> list[str]:
    return [request.headers.get("range", "") for request in pypi.seen(FILES)]


async def test_body_is_requested_and_returned_without_a_coding(pypi: PyPI, file: WorldFile) -> None:
    async with open_at(pypi.url) as upstream:
        assert await fetch(upstream, remote_of(pypi, file)) == CONTENT
    (request,) = pypi.seen(FILES)
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["user-agent"].startswith("mirrorsync/")
    assert "(+mirror-admin@example.test)" in request.headers["user-agent"]
    assert "cookie" not in request.headers


async def test_empty_file_is_complete(pypi: PyPI, world: World) -> None:
    empty = world.upload("holy", "1.0", filename="holy-1.0.zip", content=b"")
    async with open_at(pypi.url) as upstream:
        assert await fetch(upstream, remote_of(pypi, empty)) == b""


@pytest.mark.parametrize("fault", [Truncate(100_000), Reset(100_000)])
async def test_broken_body_resumes_where_it_stopped(pypi: PyPI, file: WorldFile, fault: Fault) -> None:
    pypi.faults.add(FILES, fault, times=1)
    async with open_at(pypi.url) as upstream:
        assert await fetch(upstream, remote_of(pypi, file)) == CONTENT
    assert len(ranges(pypi)) == 2
    if isinstance(fault, Truncate):
        assert ranges(pypi)[1] == "bytes=100000-"


@pytest.mark.parametrize("after", [None, 0])
async def test_connection_broken_before_the_first_byte_is_retried(
    pypi: PyPI, file: WorldFile, after: int | None
) -> None:
    pypi.faults.add(FILES, Truncate(after), times=2)
    async with open_at(pypi.url) as upstream:
        assert await fetch(upstream, remote_of(pypi, file)) == CONTENT
    assert ranges(pypi) == ["", "", ""]


async def test_body_resumes_after_each_of_several_breaks(pypi: PyPI, file: WorldFile) -> None:
    pypi.faults.add(FILES, Truncate(20_000), times=8)
    async with open_at(pypi.url) as upstream:
        assert await fetch(upstream, remote_of(pypi, file)) == CONTENT
    assert ranges(pypi)[:3] == ["", "bytes=20000-", "bytes=40000-"]


async def test_known_bytes_are_skipped_if_the_host_ignores_range(pypi: PyPI, file: WorldFile) -> None:
    pypi.faults.add(FILES, IgnoreRange(), Truncate(100_000), times=1)
    pypi.faults.add(FILES, IgnoreRange(), Truncate(200_000), times=1)
    pypi.faults.add(FILES, IgnoreRange())
    async with open_at(pypi.url) as upstream:
        assert await fetch(upstream, remote_of(pypi, file)) == CONTENT
    assert ranges(pypi) == ["", "bytes=100000-", "bytes=200000-"]


@pytest.mark.parametrize(
    "content_range", ["bytes 5-9/262144", "bytes 0-262143/262144", "", "items 1-2/3", "bytes */262144"]
)
async def test_range_response_with_another_start_is_rejected(pypi: PyPI, file: WorldFile, content_range: str) -> None:
    pypi.faults.add(FILES, Truncate(100_000), times=1)
    pypi.faults.add(FILES, Status(206, (("Content-Range", content_range),), CONTENT), times=1)
    async with open_at(pypi.url) as upstream:
        assert await fetch(upstream, remote_of(pypi, file)) == CONTENT
    assert ranges(pypi) == ["", "bytes=100000-", ""]


async def test_range_response_that_ends_early_is_resumed(pypi: PyPI, file: WorldFile) -> None:
    pypi.faults.add(FILES, Truncate(100_000), times=1)
    segment = (("Content-Range", f"bytes 100000-100009/{file.size}"),)
    pypi.faults.add(FILES, Status(206, segment, CONTENT[100_000:100_010]), times=1)
    async with open_at(pypi.url) as upstream:
        assert await fetch(upstream, remote_of(pypi, file)) == CONTENT
    assert ranges(pypi) == ["", "bytes=100000-", "bytes=100010-"]


async def test_range_response_with_another_total_is_wrong_size(pypi: PyPI, file: WorldFile) -> None:
    pypi.faults.add(FILES, Truncate(100_000), times=1)
    pypi.faults.add(FILES, Status(206, (("Content-Range", "bytes 100000-100009/100010"),), CONTENT[:10]))
    async with open_at(pypi.url) as upstream:
        with pytest.raises(WrongSize, match="100,010"):
            await fetch(upstream, remote_of(pypi, file))


async def test_body_of_unknown_size_is_complete_if_broken_after_its_last_byte(pypi: PyPI, file: WorldFile) -> None:
    untold = Remote(url=remote_of(pypi, file).url, size=None, limit=10**6)
    pypi.faults.add(FILES, OtherSize(5), Truncate(len(CONTENT)), times=1)
    async with open_at(pypi.url) as upstream:
        assert await fetch(upstream, untold) == CONTENT
    assert ranges(pypi) == ["", f"bytes={len(CONTENT)}-"]


async def test_body_of_unknown_size_is_read_to_its_end(pypi: PyPI, file: WorldFile) -> None:
    untold = Remote(url=remote_of(pypi, file).url, size=None, limit=10**6)
    async with open_at(pypi.url) as upstream:
        assert await fetch(upstream, untold) == CONTENT
        with pytest.raises(WrongSize):
            await fetch(upstream, Remote(url=untold.url, size=None, limit=len(CONTENT) - 1))


async def test_body_fails_after_the_allowed_number_of_restarts(pypi: PyPI, file: WorldFile) -> None:
    pypi.faults.add(FILES, Truncate(1))
    async with open_at(pypi.url) as upstream:
        with pytest.raises(Truncated, match=r"of 262,144 bytes, restart \d+ of"):
            await fetch(upstream, remote_of(pypi, file))
    assert MAX_RESTARTS < len(ranges(pypi)) < 2 * MAX_RESTARTS


async def test_body_without_progress_fails_within_the_retry_budget(pypi: PyPI, file: WorldFile) -> None:
    pypi.faults.add(FILES, Truncate(0))
    async with open_at(pypi.url) as upstream:
        with pytest.raises(Truncated, match="3 attempts"):
            await fetch(upstream, remote_of(pypi, file))
    assert len(ranges(pypi)) == 3


@pytest.mark.parametrize("change", [-1, 1, -1000, 10**6])
async def test_announced_wrong_size_is_rejected_before_the_first_byte(pypi: PyPI, file: WorldFile, change: int) -> None:
    pypi.faults.add(FILES, OtherSize(change))
    chunks: list[bytes] = []
    async with open_at(pypi.url) as upstream:
        with pytest.raises(WrongSize):
            await fetch_into(chunks, upstream, remote_of(pypi, file))
    assert chunks == []
    assert len(ranges(pypi)) == 1


async def test_endless_body_is_stopped_at_its_announced_size(pypi: PyPI, file: WorldFile) -> None:
    pypi.faults.add(FILES, Endless())
    chunks: list[bytes] = []
    async with open_at(pypi.url) as upstream:
        with pytest.raises(WrongSize, match="the download was stopped"):
            await fetch_into(chunks, upstream, remote_of(pypi, file))
    assert len(b"".join(chunks)) <= file.size
    assert len(ranges(pypi)) == 1


@pytest.mark.parametrize("status", [403, 404, 410, 400, 451])
async def test_missing_file_is_reported_on_entering(pypi: PyPI, file: WorldFile, status: int) -> None:
    pypi.faults.add(FILES, Status(status))
    async with open_at(pypi.url) as upstream:
        with pytest.raises(Missing, match=str(status)):
            async with upstream.open(remote_of(pypi, file)):
                pytest.fail("it was opened")
    assert len(ranges(pypi)) == 1


async def test_5xx_is_retried_and_reported_with_the_attempts(pypi: PyPI, file: WorldFile) -> None:
    rule = pypi.faults.add(FILES, Status(502), times=2)
    async with open_at(pypi.url) as upstream:
        assert await fetch(upstream, remote_of(pypi, file)) == CONTENT
        pypi.faults.remove(rule)
        pypi.faults.add(FILES, Status(502))
        with pytest.raises(Unreachable, match="HTTP 502 Bad Gateway; 3 attempts in"):
            await fetch(upstream, remote_of(pypi, file))


async def test_retry_after_of_the_file_host_is_obeyed(pypi: PyPI, file: WorldFile) -> None:
    rule = pypi.faults.add(FILES, Throttle429(1), times=1)
    async with open_at(pypi.url) as upstream:
        started = trio.current_time()
        assert await fetch(upstream, remote_of(pypi, file)) == CONTENT
        assert trio.current_time() - started >= 1
        pypi.faults.remove(rule)
        pypi.faults.add(FILES, Throttle429(3600))
        with pytest.raises(Throttled) as throttled:
            await fetch(upstream, remote_of(pypi, file))
    assert throttled.value.retry_after == 3600


@pytest.mark.parametrize("fault", [Stall(None), Stall(1000), DelayHeaders(60)])
async def test_silent_body_is_interrupted(pypi: PyPI, file: WorldFile, fault: Fault) -> None:
    pypi.faults.add(FILES, fault, times=1)
    async with open_at(pypi.url, silence=SILENCE) as upstream:
        with trio.fail_after(5):
            assert await fetch(upstream, remote_of(pypi, file)) == CONTENT
    assert len(ranges(pypi)) == 2


async def test_slow_body_is_not_silent(pypi: PyPI, file: WorldFile) -> None:
    pypi.faults.add(FILES, Drip(piece=20_000, interval=SILENCE / 4))
    async with open_at(pypi.url, silence=SILENCE) as upstream:
        started = trio.current_time()
        assert await fetch(upstream, remote_of(pypi, file)) == CONTENT
        assert trio.current_time() - started > 2 * SILENCE
    assert len(ranges(pypi)) == 1


async def test_slow_reader_causes_no_timeout(pypi: PyPI, world: World) -> None:
    large = world.upload("holy", "2.0", filename="holy-2.0.tar.gz", content=bytes(20_000_000))
    async with open_at(pypi.url, silence=SILENCE) as upstream, upstream.open(remote_of(pypi, large)) as body:
        size = len(await anext(body))
        await trio.sleep(2 * SILENCE)
        size += sum([len(chunk) async for chunk in body])
    assert size == large.size
    assert len(ranges(pypi)) == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.test/x.whl",
        "http://127.0.0.2:{port}/x.whl",
        "http://user:secret@127.0.0.1:{port}/x.whl",
        "http://127.0.0.1:1/x.whl",
        "http://localhost:{port}/x.whl",
        "gopher://127.0.0.1:{port}/x",
        "/x.whl",
    ],
)
async def test_hostile_url_is_refused_without_a_request(pypi: PyPI, url: str) -> None:
    hostile = url.format(port=pypi.url.rpartition(":")[2])
    async with open_at(pypi.url) as upstream:
        with pytest.raises(Refused):
            await fetch(upstream, Remote(url=hostile, size=1, limit=1))
    assert pypi.requests == []


async def test_separate_file_host_must_be_configured(elsewhere: PyPI, file: WorldFile) -> None:
    remote = remote_of(elsewhere, file)
    async with open_at(elsewhere.url) as upstream:
        with pytest.raises(Refused, match="files may come from"):
            await fetch(upstream, remote)
    async with open_at(elsewhere.url, file_hosts=[elsewhere.files_url.partition("//")[2]]) as upstream:
        assert await fetch(upstream, remote) == CONTENT


async def test_a_redirect_to_an_allowed_host_is_followed(pypi: PyPI, file: WorldFile) -> None:
    pypi.faults.add("/legacy/", Redirect(f"/{file.path}"))
    async with open_at(pypi.url) as upstream:
        assert await fetch(upstream, Remote(f"{pypi.url}/legacy/x", file.size, file.size)) == CONTENT


@pytest.mark.parametrize(
    "location", ["https://evil.test/x", "http://127.0.0.2/x", "//evil.test/x", "file:///etc/passwd", "/packages/again"]
)
async def test_redirect_to_another_host_or_without_end_is_refused(pypi: PyPI, file: WorldFile, location: str) -> None:
    pypi.faults.add(FILES, Redirect(location))
    async with open_at(pypi.url) as upstream:
        with pytest.raises(Refused):
            await fetch(upstream, remote_of(pypi, file))
    assert len(pypi.requests) <= 4


@pytest.mark.parametrize("fault", [Portal(), HugeHeader(), Body(b"")])
async def test_unwanted_status_is_an_expected_failure(pypi: PyPI, file: WorldFile, fault: Fault) -> None:
    pypi.faults.add(FILES, fault)
    async with open_at(pypi.url) as upstream:
        with pytest.raises((DownloadError, Unreachable)):
            await fetch(upstream, remote_of(pypi, file))


async def test_a_server_that_is_down_is_unreachable(pypi: PyPI, file: WorldFile) -> None:
    pypi.stop()
    async with open_at(pypi.url) as upstream:
        with pytest.raises(Unreachable, match="no connection") as failed:
            await fetch(upstream, remote_of(pypi, file))
    assert failed.value.hint


async def test_leaving_early_releases_the_connection_slot(pypi: PyPI, world: World) -> None:
    large = world.upload("holy", "2.0", filename="holy-2.0.tar.gz", content=bytes(20_000_000))
    connections = trio.CapacityLimiter(1)
    async with open_at(pypi.url, connections=connections) as upstream:
        async with upstream.open(remote_of(pypi, large)) as body:
            await anext(body)
            assert connections.borrowed_tokens == 1
        assert connections.borrowed_tokens == 0
        assert len(await fetch(upstream, remote_of(pypi, large))) == large.size


async def test_cancellation_is_prompt_and_releases_the_slot(pypi: PyPI, file: WorldFile) -> None:
    pypi.faults.add(FILES, Stall(1000))
    connections = trio.CapacityLimiter(1)
    async with open_at(pypi.url, connections=connections, silence=60) as upstream:
        started = trio.current_time()
        with trio.move_on_after(0.3):
            await fetch(upstream, remote_of(pypi, file))
        assert trio.current_time() - started < 1
        assert connections.borrowed_tokens == 0


async def test_open_connections_never_exceed_the_limit(pypi: PyPI, file: WorldFile) -> None:
    pypi.faults.add(FILES, DelayHeaders(0.05))
    async with open_at(pypi.url, connections=trio.CapacityLimiter(2)) as upstream, trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(fetch, upstream, remote_of(pypi, file))
    assert pypi.log.peak_connections == 2


async def test_connections_are_reused(pypi: PyPI, file: WorldFile) -> None:
    async with open_at(pypi.url) as upstream:
        for _ in range(5):
            await fetch(upstream, remote_of(pypi, file))
    assert pypi.log.connections == 1


@pytest.mark.parametrize("name", ["holy-2.0-py3-none-any.whl", "holy-2.0.tar.gz"])
async def test_coding_added_by_an_intermediary_is_undone(pypi: PyPI, world: World, name: str) -> None:
    coded = world.upload("holy", "2.0", filename=name, content=CONTENT)
    pypi.faults.add(FILES, Gzip())
    async with open_at(pypi.url) as upstream:
        assert await fetch(upstream, remote_of(pypi, coded)) == CONTENT


async def test_broken_coded_body_is_read_again_from_its_start(pypi: PyPI, world: World) -> None:
    noise = os.urandom(300_000)
    coded = world.upload("holy", "2.0", filename="holy-2.0-py3-none-any.whl", content=noise)
    pypi.faults.add(FILES, Gzip(), Truncate(200_000), times=2)
    pypi.faults.add(FILES, Gzip())
    async with open_at(pypi.url) as upstream:
        assert await fetch(upstream, remote_of(pypi, coded)) == noise
    assert ranges(pypi) == ["", "", ""]


async def test_gzip_bomb_in_place_of_a_file_is_stopped_at_its_size(pypi: PyPI, world: World) -> None:
    wheel = world.upload("holy", "2.0", filename="holy-2.0-py3-none-any.whl", content=CONTENT)
    pypi.faults.add(FILES, Body(bytes(50_000_000)), Gzip())
    async with open_at(pypi.url) as upstream:
        with pytest.raises(Malformed):
            await fetch(upstream, remote_of(pypi, wheel))
