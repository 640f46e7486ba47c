"""Framing: which responses are accepted and refused, and that no bytes are mistaken for another response."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

import httpx
import pytest
import trio

from tests.contract.peer import Talk, answer, echo, open_peer, says
from tests.contract.raw_answers import BODILESS, HEAD_MOST, LAWFUL, UNLAWFUL, Lawful, Unlawful
from tests.contract.transports import KINDS, OURS, REFUSAL, STOCK, Kind

_MANY: Final = 64 * 1024 * 1024
"""Bytes that no client with bounded memory reads."""
_BUFFERED: Final = 12 * 1024 * 1024
"""Bytes that the system may buffer between two sockets, with some margin."""

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


async def then_honest(talk: Talk) -> None:
    while request := await talk.request():
        await talk.send(echo(request))


def bytewise(raw: bytes) -> tuple[bytes, ...]:
    return tuple(raw[at : at + 1] for at in range(len(raw)))


# --- accepted --------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("case", LAWFUL, ids=lambda case: case.name)
async def test_unusual_valid_response_is_accepted(kind: Kind, case: Lawful) -> None:
    async with open_peer(says(case.raw, then=then_honest)) as peer, kind.client() as client:
        response = await client.get(peer.url("/first"))
        assert (response.status_code, response.content) == (200, case.body)
        assert (await client.get(peer.url("/second"))).content == b"/second"
        assert peer.connections == (1 if case.reused else 2)


@every_kind
@pytest.mark.parametrize("case", [case for case in LAWFUL if len(case.raw) < 200], ids=lambda case: case.name)
async def test_response_may_arrive_byte_by_byte(kind: Kind, case: Lawful) -> None:
    async with open_peer(says(*bytewise(case.raw), then=then_honest)) as peer, kind.client() as client:
        assert (await client.get(peer.url("/first"))).content == case.body
        assert (await client.get(peer.url("/second"))).content == b"/second"


@every_kind
@pytest.mark.parametrize("raw", BODILESS)
async def test_204_and_304_have_no_body_despite_their_headers(kind: Kind, raw: bytes) -> None:
    async with open_peer(says(raw, then=then_honest)) as peer, kind.client() as client:
        assert (await client.get(peer.url("/first"))).content == b""
        assert (await client.get(peer.url("/second"))).content == b"/second"
        assert peer.connections == 1


@every_kind
async def test_headers_are_unchanged_and_exclude_trailers_and_early_hints(kind: Kind) -> None:
    head = b"HTTP/1.1 203 Not Quite\r\nX-One: a\r\nx-one:  b\r\nX-Raw: \xff\r\nTransfer-Encoding: chunked\r\n\r\n"
    raw = b"HTTP/1.1 103 Early\r\nX-Early: x\r\n\r\n" + head + b"1\r\nx\r\n0\r\nX-Late: x\r\n\r\n"
    async with open_peer(says(raw)) as peer, kind.client() as client:
        response = await client.get(peer.url("/"))
    ours = [(b"x-one", b"a, b"), (b"x-raw", b"\xff"), (b"transfer-encoding", b"chunked")]
    stock = [(b"X-One", b"a"), (b"x-one", b"b"), (b"X-Raw", b"\xff"), (b"Transfer-Encoding", b"chunked")]
    assert response.headers.raw == (ours if kind.is_ours else stock)
    assert (response.status_code, response.reason_phrase) == (203, "Not Quite")


@every_kind
async def test_blanks_around_a_header_value_are_stripped(kind: Kind) -> None:
    async with open_peer(says(answer(b"holy", b"X-Blank: \t a b \t "))) as peer, kind.client() as client:
        assert (await client.get(peer.url("/"))).headers["x-blank"] == "a b"


# --- refused --------------------------------------------------------------------------------


def unlawful() -> Iterator[Any]:
    for case in UNLAWFUL:
        yield pytest.param(OURS, case, id=f"{case.name}-ours")
        yield pytest.param(STOCK, case, id=f"{case.name}-stock")


@pytest.mark.parametrize(("kind", "case"), list(unlawful()))
async def test_invalid_response_is_refused_and_its_connection_closed(kind: Kind, case: Unlawful) -> None:
    allowed = case.ours if kind.is_ours else case.stock
    async with open_peer(says(case.raw)) as peer, kind.client(read=0.1 if allowed else 3.0) as client:
        if allowed:
            await differs(client, peer.url("/first"))
            return
        with pytest.raises(REFUSAL):
            await client.get(peer.url("/first"))
        await peer.all_left()
        assert (await client.get(peer.url("/second"))).content == b"/second"


async def differs(client: httpx.AsyncClient, url: str) -> None:
    """Check that an allowed difference still exists: the response is accepted or waited for."""
    try:
        await client.get(url)
    except httpx.ReadTimeout:
        pass
    except httpx.HTTPError as error:
        pytest.fail(f"no difference any more: {error!r}")


@every_kind
@pytest.mark.parametrize("lines", [1, 200])
@pytest.mark.parametrize("piece", [1024, 1024 * 1024], ids=["trickling", "at once"])
async def test_headers_of_twice_the_limit_are_refused(kind: Kind, lines: int, piece: int) -> None:
    size = 2 * HEAD_MOST // lines
    raw = answer(b"holy", *(b"X-%d: " % number + b"a" * size for number in range(lines)))
    if not kind.is_ours and piece > len(raw):
        return  # h11 limits only incomplete headers
    async with (
        open_peer(says(*(raw[at : at + piece] for at in range(0, len(raw), piece)))) as peer,
        kind.client() as client,
    ):
        with pytest.raises(REFUSAL):
            await client.get(peer.url("/"))


_CHUNKED: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_ENDLESS: Final = {
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X-Header: " + b"a" * 1000 + b"\r\n"),
    "header": (b"HTTP/1.1 200 OK\r\nX-Header: ", b"a" * 1000),
    "header name": (b"HTTP/1.1 200 OK\r\n", b"a" * 1000),
    "reason": (b"HTTP/1.1 200 ", b"a" * 1000),
    "1xx": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 20),
    "empty lines": (b"", b"\r\n" * 500),
    "chunk extension": (_CHUNKED + b"4", b";a=b" * 250),
    "chunk size": (_CHUNKED, b"0" * 1000),
    "trailers": (_CHUNKED + b"0\r\n", b"X-Trailer: a\r\n" * 80),
}
_STOCK_READS_ON: Final = {"1xx", "chunk size"}
"""What httpx reads without end, in bounded memory."""


@every_kind
@pytest.mark.parametrize("what", _ENDLESS)
async def test_endless_framing_is_refused_in_bounded_memory(kind: Kind, what: str) -> None:
    begin, again = _ENDLESS[what]
    sent = 0

    async def endless(talk: Talk) -> None:
        nonlocal sent
        await talk.request()
        await talk.send(begin)
        while sent < _MANY:
            await talk.send(again * 50)
            sent += len(again) * 50

    if not kind.is_ours and what in _STOCK_READS_ON:
        return
    async with open_peer(endless) as peer, kind.client() as client:
        with trio.fail_after(10), pytest.raises(REFUSAL):
            await client.get(peer.url("/"))
        await peer.all_left()
    assert sent < _BUFFERED


# --- smuggled --------------------------------------------------------------------------------

_EVIL: Final = answer(b"smuggled")
_ENDS: Final[dict[str, bytes]] = {
    "after a length": answer(b"holy"),
    "after an empty body": answer(b""),
    "after chunks": _CHUNKED + b"4\r\nholy\r\n0\r\n\r\n",
    "after trailers": _CHUNKED + b"4\r\nholy\r\n0\r\nA: b\r\n\r\n",
    "after 204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "after 304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n",
    "after Connection: close": answer(b"holy", b"Connection: close"),
    "after HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nholy",
    "after a refusal": b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
}
_ARRIVALS: Final[dict[str, Callable[[bytes], tuple[bytes, ...]]]] = {
    "at once": lambda raw: (raw + _EVIL,),
    "alone": lambda raw: (raw, _EVIL),
    "half": lambda raw: (raw + _EVIL[:20], _EVIL[20:]),
    "a word": lambda raw: (raw + b"H",),
    "many": lambda raw: (raw + _EVIL * 3,),
}


_CLOSING: Final = {"after Connection: close", "after HTTP/1.0", "after a refusal"}
_STOCK_KEEPS: Final = {"at once", "a word", "many"}
"""Bytes that arrive with the previous response are the next response to httpx: an allowed difference."""


async def is_smuggled(client: httpx.AsyncClient, url: str) -> None:
    """Check that the difference still exists."""
    with suppress(REFUSAL):
        assert (await client.get(url)).content in (b"smuggled", b"holy", b"")


@every_kind
@pytest.mark.parametrize("arrival", _ARRIVALS)
@pytest.mark.parametrize("end", _ENDS)
async def test_bytes_after_a_response_are_no_response(kind: Kind, arrival: str, end: str) -> None:
    sent = trio.Event()

    async def script(talk: Talk) -> None:
        while request := await talk.request():
            if b" /first " in request:
                await talk.send(*_ARRIVALS[arrival](_ENDS[end]))
                sent.set()
            else:
                await talk.send(echo(request))

    async with open_peer(script) as peer, kind.client() as client:
        with suppress(REFUSAL):
            assert (await client.get(peer.url("/first"))).content in (b"holy", b"")
        with trio.move_on_after(0.5):  # the client may have closed already
            await sent.wait()
        if not kind.is_ours and arrival in _STOCK_KEEPS and end not in _CLOSING:
            await is_smuggled(client, peer.url("/second"))
            return
        for path in ("/second", "/third"):
            assert (await client.get(peer.url(path))).content == path.encode()
