"""Opening connections: addresses, TLS, and failures."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

import httpx
import pytest
import trio

from tests.contract.certificates import MISSING, Certificates, Flaw
from tests.contract.peer import Talk, answer, echo, honest, open_peer, says
from tests.contract.transports import KINDS, OURS, STOCK, Kind, descriptors

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
needs_openssl = pytest.mark.skipif(bool(MISSING), reason=MISSING)
_NAME: Final = "peer.test"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


class Names(trio.abc.HostnameResolver):
    """A resolver that knows one name."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses
        trio.socket.set_custom_hostname_resolver(self)

    async def getaddrinfo(self, host: Any, port: Any, *_: Any, **__: Any) -> list[Any]:
        if host not in (_NAME, _NAME.encode()):
            raise socket.gaierror(socket.EAI_NONAME, "unknown name")
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in self._addresses
        ]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        raise NotImplementedError


@contextmanager
def black_hole(family: socket.AddressFamily, host: str, port: int = 0) -> Iterator[int]:
    """Open a port that answers no connection: its queue is full."""
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0)
        waiting = [socket.socket(family) for _ in range(4)]
        for one in waiting:
            one.settimeout(0)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for one in waiting:
            one.close()


# --- no connection -------------------------------------------------------------------------------------------------


@every_kind
async def test_silent_host_ends_in_a_connect_timeout(kind: Kind) -> None:
    before = descriptors()
    with black_hole(socket.AF_INET, "127.0.0.1") as port:
        async with kind.client(connect=0.1) as client:
            started = trio.current_time()
            with pytest.raises(httpx.ConnectTimeout):
                await client.get(f"http://127.0.0.1:{port}/")
            assert 0.09 < trio.current_time() - started < 1.0
    assert descriptors() == before


@every_kind
async def test_silent_tls_handshake_ends_in_a_connect_timeout(kind: Kind) -> None:
    async with open_peer(Talk.left) as peer, kind.client(connect=0.1) as client:
        before = descriptors()
        with pytest.raises(httpx.ConnectTimeout):
            await client.get(f"https://127.0.0.1:{peer.port}/")
        await peer.all_left()
        assert descriptors() == before


# Cancelled during the TLS handshake, httpx leaves its socket to the garbage collector.
@pytest.mark.parametrize(("kind", "scheme"), [(OURS, "http"), (OURS, "https"), (STOCK, "http")])
async def test_cancelling_while_connecting_leaks_nothing(kind: Kind, scheme: str) -> None:
    async with open_peer(Talk.left) as peer, kind.client() as client:
        before = descriptors()
        for delay in (0.0, 0.001, 0.01):
            with trio.move_on_after(delay):
                await client.get(f"{scheme}://127.0.0.1:{peer.port}/")
            await peer.all_left()
            await trio.sleep(0.01)
            assert descriptors() == before


@every_kind
async def test_closed_port_is_a_connect_error(kind: Kind) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        async with kind.client() as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(f"http://127.0.0.1:{bound.getsockname()[1]}/")


@every_kind
async def test_unknown_host_name_is_a_connect_error(kind: Kind) -> None:
    Names("127.0.0.1")
    async with kind.client() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://unknown.test/")


@every_kind
@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x28", b""])
async def test_peer_without_tls_is_a_connect_error(kind: Kind, said: bytes) -> None:
    async def script(talk: Talk) -> None:
        await talk.send(said)
        await trio.sleep(0.02)

    async with open_peer(script) as peer, kind.client() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"https://127.0.0.1:{peer.port}/")


# --- addresses -----------------------------------------------------------------------------------------------------


@every_kind
async def test_ipv6_is_supported(kind: Kind) -> None:
    async with open_peer(honest, host="::1") as peer, kind.client() as client:
        assert (await client.get(peer.url("/six"))).content == b"/six"
        assert f"Host: [::1]:{peer.port}\r\n".encode() in peer.received[0].raw


@every_kind
@pytest.mark.parametrize("order", [("::1", "127.0.0.1"), ("127.0.0.1", "::1")], ids=["IPv6 first", "IPv4 first"])
async def test_host_with_one_dead_address_is_reached_quickly(kind: Kind, order: tuple[str, ...]) -> None:
    Names(*order)
    async with open_peer(honest) as peer, kind.client() as client:
        with black_hole(socket.AF_INET6, "::1", peer.port):
            before = descriptors()
            started = trio.current_time()
            assert (await client.get(peer.url("/", host=_NAME))).content == b"/"
            assert trio.current_time() - started < 1.0
            assert descriptors() <= before + 2, "the attempt at the dead address is closed; only the two ends are open"


@every_kind
async def test_host_with_only_dead_addresses_ends_in_a_timeout(kind: Kind) -> None:
    Names("::1", "127.0.0.1")
    with black_hole(socket.AF_INET, "127.0.0.1") as port, black_hole(socket.AF_INET6, "::1", port):
        async with kind.client(connect=0.4) as client:
            with pytest.raises(httpx.ConnectTimeout):
                await client.get(f"http://{_NAME}:{port}/")


# --- TLS -----------------------------------------------------------------------------------------------------------


@needs_openssl
@every_kind
async def test_good_certificate_is_accepted_and_the_name_is_sent(kind: Kind, certificates: Certificates) -> None:
    Names("127.0.0.1")
    server_names: list[str | None] = []
    server = certificates.server()
    server.sni_callback = lambda _, name, __: server_names.append(name)
    async with open_peer(honest, tls=server) as peer, kind.client(certificates.client()) as client:
        for path in ("/one", "/two"):
            assert (await client.get(peer.url(path, host=_NAME))).content == path.encode()
        assert (await client.get(peer.url("/address"))).content == b"/address"
    assert server_names[0] == _NAME
    assert peer.connections == 2


@needs_openssl
@every_kind
@pytest.mark.parametrize("flaw", ["wrong_name", "expired", "unknown_authority"])
async def test_bad_certificate_is_refused_before_the_request(
    kind: Kind, certificates: Certificates, flaw: Flaw
) -> None:
    async with open_peer(honest, tls=certificates.server(flaw)) as peer, kind.client(certificates.client()) as client:
        before = descriptors()
        with pytest.raises(httpx.ConnectError) as raised:
            await client.get(peer.url("/"))
        assert "CERTIFICATE" in str(raised.value) or not kind.is_ours, "the stock transport does not say why"
        await peer.all_left()
        assert descriptors() == before
    assert peer.received == []


@needs_openssl
@every_kind
async def test_a_certificate_for_another_address_is_refused(kind: Kind, certificates: Certificates) -> None:
    Names("127.0.0.1")
    async with (
        open_peer(honest, tls=certificates.server("wrong_name")) as peer,
        kind.client(certificates.client()) as client,
    ):
        with pytest.raises(httpx.ConnectError):
            await client.get(peer.url("/", host=_NAME))


@needs_openssl
@every_kind
async def test_missing_tls_close_is_accepted_after_a_complete_response(kind: Kind, certificates: Certificates) -> None:
    async def leaves(talk: Talk) -> None:
        await talk.send(echo(await talk.request()))

    async with open_peer(leaves, tls=certificates.server()) as peer, kind.client(certificates.client()) as client:
        for path in ("/one", "/two"):
            assert (await client.get(peer.url(path))).content == path.encode()
            await peer.all_left()


@asynccontextmanager
async def cut(kind: Kind, certificates: Certificates, raw: bytes, end: Any) -> AsyncIterator[tuple[Any, str]]:
    server = certificates.server()
    async with open_peer(says(raw, then=end), tls=server) as peer, kind.client(certificates.client()) as client:
        yield client, peer.url("/")


async def rudely(_: Talk) -> None:
    """Close without close_notify."""


@needs_openssl
@every_kind
@pytest.mark.parametrize("end", [Talk.end, rudely])
async def test_body_cut_inside_tls_is_an_error(kind: Kind, certificates: Certificates, end: Any) -> None:
    async with cut(kind, certificates, answer(b"holy grail")[:-3], end) as (client, url):
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await client.get(url)


@needs_openssl
@every_kind
@pytest.mark.parametrize("end", [Talk.end, rudely])
async def test_body_without_length_ends_with_its_tls_connection(
    kind: Kind, certificates: Certificates, end: Any
) -> None:
    # Both accept it, as browsers do: the digest verifies such a body.
    async with cut(kind, certificates, b"HTTP/1.1 200 OK\r\n\r\nholy", end) as (client, url):
        assert (await client.get(url)).content == b"holy"


@needs_openssl
@pytest.mark.parametrize("kind", [pytest.param(OURS, id="ours")])  # httpx returns it as the next response
async def test_tls_records_after_the_response_are_no_response(kind: Kind, certificates: Certificates) -> None:
    async def script(talk: Talk) -> None:
        await talk.request()
        async with talk.corked():  # one segment, so that the client has read both when it reads the first
            await talk.send(answer(b"holy"))
            await talk.send(answer(b"smuggled"))
        while request := await talk.request():
            await talk.send(echo(request))

    async with open_peer(script, tls=certificates.server()) as peer, kind.client(certificates.client()) as client:
        with suppress(httpx.RemoteProtocolError):
            await client.get(peer.url("/first"))
        assert (
            await client.get(peer.url("/second"))
        ).content == b"holy"  # the first response of the script, on a new connection


@needs_openssl
@every_kind
async def test_silence_and_cancellation_inside_tls_leak_nothing(kind: Kind, certificates: Certificates) -> None:
    async with (
        open_peer(says(answer(b"holy")[:-2]), tls=certificates.server()) as peer,
        kind.client(certificates.client()) as client,
    ):
        before = descriptors()
        with pytest.raises(httpx.ReadTimeout):
            await client.get(peer.url("/first"), timeout=httpx.Timeout(3.0, read=0.1))
        await peer.all_left()
        assert descriptors() == before
        with trio.move_on_after(0.0):
            await client.get(peer.url("/second"))
        await peer.all_left()
        assert descriptors() == before


@needs_openssl
@every_kind
async def test_large_body_is_complete_through_tls(kind: Kind, certificates: Certificates) -> None:
    body = bytes(range(256)) * 16 * 1024
    async with (
        open_peer(says(answer(body)), tls=certificates.server()) as peer,
        kind.client(certificates.client()) as client,
    ):
        assert (await client.get(peer.url("/"))).content == body
