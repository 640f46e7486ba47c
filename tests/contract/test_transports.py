"""HTTP/1.1 over raw sockets: the mirror's own client and httpx's pass the same tests."""

import math
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, cast

import httpx
import pytest
import trio

from tests.contract.peer import Peer, Talk, answer, echo, honest, open_peer, says
from tests.contract.transports import KINDS, Kind, descriptors

_DIED: Final = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
"""The errors of a dead connection."""
_BIG: Final = b"holy grail" * 100_000

# httpx nests generators that trio reports as unfinished when a body or a request is left early.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator 'http:ResourceWarning")
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@asynccontextmanager
async def first_bytes(client: httpx.AsyncClient, url: str) -> AsyncIterator[bytes]:
    """Hold a response whose first bytes have arrived; it is left when the context ends."""
    async with client.stream("GET", url) as response, aclosing(cast("Any", response.aiter_raw(10))) as pieces:
        yield await anext(pieces)


async def get(client: httpx.AsyncClient, peer: Peer, path: str) -> bytes:
    return (await client.get(peer.url(path))).content


async def dies_when_asked_again(talk: Talk) -> None:
    """Answer once, then take a request and close without a byte."""
    await talk.send(echo(await talk.request()))
    await talk.request()


# --- keeping and replacing connections -----------------------------------------------------------------------------


@every_kind
async def test_connection_is_reused_after_a_full_body(kind: Kind) -> None:
    async with open_peer(honest) as peer, kind.client() as client:
        for number in range(5):
            assert await get(client, peer, f"/{number}") == b"/%d" % number
        assert (await client.post(peer.url("/post"), content=b"x" * 1000)).content == b"/post"
    assert peer.connections == 1


@every_kind
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_connection_closed_while_idle_is_not_reused(kind: Kind, method: str) -> None:
    async def closes(talk: Talk) -> None:
        await talk.send(echo(await talk.request()))

    async with open_peer(closes) as peer, kind.client() as client:
        for number in range(3):
            response = await client.request(method, peer.url(f"/{number}"))
            assert response.content == b"/%d" % number
            await peer.all_left()
        assert peer.targets == ["/0", "/1", "/2"]


@every_kind
async def test_get_on_a_dying_idle_connection_is_repeated_once(kind: Kind) -> None:
    async with open_peer(dies_when_asked_again) as peer, kind.client() as client:
        await get(client, peer, "/first")
        if kind.is_ours:
            assert await get(client, peer, "/second") == b"/second"
            assert peer.targets == ["/first", "/second", "/second"]
        else:  # httpx leaves that to its user
            with pytest.raises(_DIED):
                await get(client, peer, "/second")
            assert peer.targets == ["/first", "/second"]


@every_kind
@pytest.mark.parametrize("end", [Talk.end, Talk.reset])
async def test_a_post_is_never_sent_twice(kind: Kind, end: Any) -> None:
    async def script(talk: Talk) -> None:
        await talk.send(echo(await talk.request()))
        await talk.request()
        await end(talk)

    async with open_peer(script) as peer, kind.client() as client:
        await get(client, peer, "/first")
        with pytest.raises(_DIED):
            await client.post(peer.url("/second"), content=b"once")
        assert peer.targets == ["/first", "/second"]


@every_kind
@pytest.mark.parametrize("beginning", [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
async def test_get_is_not_repeated_once_its_response_began(kind: Kind, beginning: bytes) -> None:
    async def script(talk: Talk) -> None:
        await talk.send(echo(await talk.request()))
        await talk.request()
        await talk.send(beginning)

    async with open_peer(script) as peer, kind.client() as client:
        await get(client, peer, "/first")
        with pytest.raises(_DIED):
            await get(client, peer, "/second")
        assert peer.targets == ["/first", "/second"]


@every_kind
@pytest.mark.parametrize("end", [Talk.end, Talk.reset])
async def test_get_is_not_repeated_when_its_new_connection_dies(kind: Kind, end: Any) -> None:
    async with open_peer(says(then=end)) as peer, kind.client() as client:
        with pytest.raises(_DIED):
            await get(client, peer, "/first")
        assert peer.targets == ["/first"]


@every_kind
async def test_sixteen_requests_to_a_peer_that_closes_are_all_answered(kind: Kind) -> None:
    async def script(talk: Talk) -> None:
        request = await talk.request()
        await talk.send(answer(request.split(b" ", 2)[1], b"Connection: close"))

    async with open_peer(script) as peer, kind.client() as client:
        got = await all_at_once(client, peer, 16)
        assert got == [f"/{number}" for number in range(16)]


@every_kind
async def test_64_concurrent_requests_get_their_own_responses(kind: Kind) -> None:
    async def slow(talk: Talk) -> None:
        while request := await talk.request():
            await trio.sleep(0.05)
            await talk.send(echo(request))

    before = descriptors()
    async with open_peer(slow) as peer:
        async with kind.client() as client:
            for _ in range(2):
                assert await all_at_once(client, peer, 64) == [f"/{number}" for number in range(64)]
            assert peer.most_open <= 64
        await peer.all_left()
    assert descriptors() == before


async def all_at_once(client: httpx.AsyncClient, peer: Peer, count: int) -> list[str]:
    got = [""] * count

    async def one(number: int) -> None:
        got[number] = (await get(client, peer, f"/{number}")).decode()

    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(one, number)
    return got


@every_kind
async def test_closing_the_pool_closes_idle_connections(kind: Kind) -> None:
    before = descriptors()
    async with open_peer(honest) as peer:
        async with kind.client() as client:
            await get(client, peer, "/")
        await peer.all_left()
    assert descriptors() == before


# --- early ends ----------------------------------------------------------------------------------------

_CHUNKS: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_PARTS: Final = {
    "in the status line": (b"HTTP/1.1 20",),
    "in the headers": (b"HTTP/1.1 200 OK\r\nContent-Le",),
    "before the body": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",),
    "in the body": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"hol"),
    "in a chunk": (_CHUNKS, b"9\r\nhol"),
    "between chunks": (_CHUNKS, b"3\r\nhol\r\n"),
    "before the last line end": (_CHUNKS, b"3\r\nhol\r\n0\r\n"),
    "in the trailers": (_CHUNKS, b"3\r\nhol\r\n0\r\nDigest"),
}
every_part = pytest.mark.parametrize("pieces", _PARTS.values(), ids=_PARTS)


@every_kind
@every_part
@pytest.mark.parametrize("end", [Talk.end, Talk.reset])
async def test_response_cut_anywhere_is_an_error(kind: Kind, pieces: tuple[bytes, ...], end: Any) -> None:
    async with open_peer(says(*pieces, then=end)) as peer, kind.client() as client:
        with pytest.raises(_DIED):
            await get(client, peer, "/first")
        assert await get(client, peer, "/second") == b"/second"


@every_kind
async def test_a_body_without_a_length_ends_with_its_connection(kind: Kind) -> None:
    script = says(b"HTTP/1.1 200 OK\r\n\r\n", b"holy ", b"grail", then=Talk.end)
    async with open_peer(script) as peer, kind.client() as client:
        assert await get(client, peer, "/first") == b"holy grail"
        assert await get(client, peer, "/second") == b"/second"


@every_kind
async def test_a_body_without_a_length_is_an_error_when_it_ends_with_a_reset(kind: Kind) -> None:
    async with open_peer(says(b"HTTP/1.1 200 OK\r\n\r\nholy", then=Talk.reset)) as peer, kind.client() as client:
        with pytest.raises(httpx.ReadError):
            await get(client, peer, "/first")


# --- silence ---------------------------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("pieces", [(), *_PARTS.values()], ids=["before the answer", *_PARTS])
async def test_silence_ends_in_a_timeout_and_closes_the_connection(kind: Kind, pieces: tuple[bytes, ...]) -> None:
    async with open_peer(says(*pieces)) as peer, kind.client(read=0.1) as client:
        started = trio.current_time()
        with pytest.raises(httpx.ReadTimeout):
            await get(client, peer, "/first")
        assert 0.09 < trio.current_time() - started < 1.0
        await peer.all_left()
        assert await get(client, peer, "/second") == b"/second"


@every_kind
async def test_body_that_arrives_slowly_is_not_silent(kind: Kind) -> None:
    async def slow(talk: Talk) -> None:
        await talk.request()
        await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            await trio.sleep(0.06)
            await talk.send(b"x")

    async with open_peer(slow) as peer, kind.client(read=0.3) as client:
        assert await get(client, peer, "/") == b"x" * 8


@every_kind
async def test_peer_that_does_not_read_ends_in_a_write_timeout(kind: Kind) -> None:
    async def deaf(_: Talk) -> None:
        await trio.sleep(math.inf)

    async with open_peer(deaf) as peer, kind.client(write=0.1) as client:
        with pytest.raises(httpx.WriteTimeout):
            await client.post(peer.url("/"), content=bytes(32 * 1024 * 1024))


# --- leaving ---------------------------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("pieces", [(), *_PARTS.values()], ids=["before the answer", *_PARTS])
async def test_cancelling_closes_the_connection_and_leaks_nothing(kind: Kind, pieces: tuple[bytes, ...]) -> None:
    async with open_peer(says(*pieces)) as peer, kind.client() as client:
        before = descriptors()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.get, peer.url("/first"))
            await peer.was_asked("/first")
            await trio.sleep(0.02)
            nursery.cancel_scope.cancel()
        await peer.all_left()
        assert descriptors() == before
        assert await get(client, peer, "/second") == b"/second"
    assert peer.targets == ["/first", "/second"]


@every_kind
async def test_cancelling_many_at_once_leaks_nothing(kind: Kind) -> None:
    async def half(talk: Talk) -> None:
        while request := await talk.request():
            if request.startswith(b"GET /honest"):
                await talk.send(echo(request))
            else:
                await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhol")

    async with open_peer(half) as peer, kind.client() as client:
        before = descriptors()
        for round_number in range(5):
            async with trio.open_nursery() as nursery:
                for number in range(12):
                    nursery.start_soon(client.get, peer.url(f"/{round_number}/{number}"))
                await trio.sleep(0.01 * round_number)
                nursery.cancel_scope.cancel()
            await peer.all_left()
            assert descriptors() == before
        assert await get(client, peer, "/honest") == b"/honest"


@every_kind
async def test_leaving_a_body_early_closes_its_connection(kind: Kind) -> None:
    async with open_peer(says(answer(_BIG))) as peer, kind.client() as client:
        before = descriptors()
        async with first_bytes(client, peer.url("/first")) as data:
            assert data == b"holy grail"
        await peer.all_left()
        assert descriptors() == before
        assert await get(client, peer, "/second") == b"/second"


@every_kind
async def test_connection_is_not_shared_while_its_body_is_read(kind: Kind) -> None:
    async with open_peer(says(answer(_BIG))) as peer, kind.client() as client:
        async with client.stream("GET", peer.url("/first")) as response:
            assert await get(client, peer, "/second") == b"/second"
            assert await response.aread() == _BIG
        assert peer.connections == 2


# --- what is sent ----------------------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0"])
@pytest.mark.parametrize("place", ["name", "value"])
async def test_a_line_end_in_a_header_sends_nothing(kind: Kind, place: str, end: str) -> None:
    evil = f"a{end}Evil: b"
    headers = {evil: "x"} if place == "name" else {"X-Header": evil}
    async with open_peer(honest) as peer, kind.client() as client:
        with pytest.raises(httpx.LocalProtocolError):
            await client.get(peer.url("/first"), headers=headers)
        assert await get(client, peer, "/second") == b"/second"
    assert peer.targets == ["/second"]


@every_kind
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0"])
async def test_a_line_end_in_a_method_sends_nothing(kind: Kind, end: str) -> None:
    async with open_peer(honest) as peer, kind.client() as client:
        with pytest.raises(httpx.LocalProtocolError):
            await client.request(f"GET{end}Evil: b", peer.url("/first"))
        assert await get(client, peer, "/second") == b"/second"
    assert peer.targets == ["/second"]


@every_kind
async def test_line_end_in_a_url_is_never_sent(kind: Kind) -> None:
    async with open_peer(honest) as peer, kind.client() as client:
        for evil in ("/a\r\nEvil: b", "/a\nb", "/a b", "/?a\r\nb"):
            try:
                await client.get(peer.url(evil))
            except httpx.InvalidURL:
                continue
    assert all(b"\nEvil" not in each.raw and each.raw.count(b" HTTP/1.1\r\n") == 1 for each in peer.received)
    assert set(peer.targets) <= {"/a%20b"}


@every_kind
async def test_request_is_sent_unchanged(kind: Kind) -> None:
    async with open_peer(honest) as peer, kind.client() as client:
        await client.post(peer.url("/a%2Fb?c=%20d"), content=b"\x00\r\n\r\nGET /evil", headers={"X-Case": "Kept"})
    head, _, body = peer.received[0].raw.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /a%2Fb?c=%20d HTTP/1.1"
    assert f"Host: 127.0.0.1:{peer.port}".encode() in lines
    assert b"X-Case: Kept" in lines
    assert body == b"\x00\r\n\r\nGET /evil"
    assert len(peer.received) == 1
