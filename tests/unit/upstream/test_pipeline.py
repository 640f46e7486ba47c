"""Pipelined requests to a peer that follows a script (docs/adr/0006)."""

from collections.abc import Sequence

import pytest
import trio

from mirrorsync.errors import MirrorsyncError, Missing, ProjectGone
from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.model.objects import Remote
from mirrorsync.model.page import PageRequest
from mirrorsync.ports import Upstream
from tests.contract.peer import Peer, Script, Talk, answer, echo, honest, open_peer
from tests.unit.upstream.opening import open_at

NAMES = ("/a", "/b", "/c", "/d")


async def fetched(upstream: Upstream, peer: Peer, names: Sequence[str] = NAMES) -> list[str]:
    """Return the body of each name, or the class name of its failure."""
    remotes = [Remote(url=peer.url(name), size=None, limit=1000) for name in names]
    results = await upstream.fetch_all(remotes)
    return [type(result).__name__ if isinstance(result, MirrorsyncError) else result.decode() for result in results]


def paced(gather: int) -> Script:
    """Answer the first request of a connection at once, the others only when `gather` of them have arrived."""

    async def script(talk: Talk) -> None:
        if request := await talk.request():
            await talk.send(echo(request))
        while request := await talk.request():
            waiting = [request, *[await talk.request() for _ in range(gather - 1)]]
            for each in waiting:
                await talk.send(echo(each))

    return script


async def test_other_requests_follow_together_after_the_first_response() -> None:
    async with open_peer(paced(3)) as peer, open_at(peer.url("")) as upstream:
        assert await fetched(upstream, peer) == list(NAMES)
        assert peer.connections == 1


async def test_reused_connection_carries_all_requests_at_once() -> None:
    together: list[int] = []

    async def script(talk: Talk) -> None:
        while request := await talk.request():
            await trio.sleep(0.02)
            together.append(talk._buffer.count(b"\r\n\r\n"))
            await talk.send(echo(request))

    async with open_peer(script) as peer, open_at(peer.url("")) as upstream:
        await fetched(upstream, peer, NAMES[:1])
        assert await fetched(upstream, peer) == list(NAMES)
        assert peer.connections == 1
    assert together == [0, 3, 2, 1, 0]


async def test_unanswered_requests_are_sent_on_another_connection() -> None:
    async def script(talk: Talk) -> None:
        answered = 2 if talk.number == 1 else 1000
        while answered and (request := await talk.request()):
            await talk.send(echo(request))
            answered -= 1

    async with open_peer(script) as peer, open_at(peer.url("")) as upstream:
        assert await fetched(upstream, peer) == list(NAMES)
    assert sorted(set(peer.targets)) == list(NAMES)


async def test_server_that_closes_each_connection_gets_one_request_each() -> None:
    async def script(talk: Talk) -> None:
        if request := await talk.request():
            await talk.send(answer(request.split(b" ")[1], b"Connection: close"))

    async with open_peer(script) as peer, open_at(peer.url("")) as upstream:
        assert await fetched(upstream, peer) == list(NAMES)
        assert peer.connections == len(NAMES)
    assert sorted(peer.targets) == list(NAMES)


async def test_server_that_breaks_pipelines_gets_one_request_at_a_time() -> None:
    """The peer takes one request at a time and drops those behind it, as some old proxies do."""
    dropped: list[bytes] = []

    async def script(talk: Talk) -> None:
        while request := await talk.request():
            await trio.sleep(0.02)
            await talk.send(echo(request))
            if talk._buffer:
                dropped.append(talk._buffer)
                return

    async with open_peer(script) as peer, open_at(peer.url("")) as upstream:
        for _ in range(8):
            assert await fetched(upstream, peer) == list(NAMES)
    assert len(dropped) == 3


async def test_response_before_its_request_is_discarded() -> None:
    async def script(talk: Talk) -> None:
        if talk.number > 1:
            await honest(talk)
        elif request := await talk.request():
            async with talk.corked():
                await talk.send(echo(request))
                await talk.send(answer(b"smuggled"))
            await talk.left()

    async with open_peer(script) as peer, open_at(peer.url("")) as upstream:
        assert await fetched(upstream, peer) == list(NAMES)


@pytest.mark.parametrize("broken", ["/a", "/c", "/d"])
async def test_missing_file_does_not_affect_the_others(broken: str) -> None:
    async def script(talk: Talk) -> None:
        while request := await talk.request():
            missing = request.split(b" ")[1].decode() == broken
            await talk.send(answer(b"no", status=b"404 Not Found") if missing else echo(request))

    async with open_peer(script) as peer, open_at(peer.url("")) as upstream:
        expected = [Missing.__name__ if name == broken else name for name in NAMES]
        assert await fetched(upstream, peer) == expected
    assert sorted(peer.targets) == list(NAMES)  # each once: a retry would not help


async def test_passing_failure_is_retried_alone() -> None:
    async def script(talk: Talk) -> None:
        while request := await talk.request():
            first = b" /b " in request and peer.targets.count("/b") == 1
            await talk.send(answer(b"", status=b"503 Service Unavailable") if first else echo(request))

    async with open_peer(script) as peer, open_at(peer.url("")) as upstream:
        assert await fetched(upstream, peer) == list(NAMES)
    assert sorted(peer.targets) == ["/a", "/b", "/b", "/c", "/d"]


async def test_redirect_is_followed_for_its_request_only() -> None:
    async def script(talk: Talk) -> None:
        while request := await talk.request():
            moved = answer(b"", b"Location: /elsewhere", status=b"302 Found")
            await talk.send(moved if b" /b " in request else echo(request))

    async with open_peer(script) as peer, open_at(peer.url("")) as upstream:
        assert await fetched(upstream, peer) == ["/a", "/elsewhere", "/c", "/d"]


async def test_cancelled_pipeline_closes_its_connection() -> None:
    async def script(talk: Talk) -> None:
        if request := await talk.request():
            await talk.send(echo(request))
        await talk.left()

    async with open_peer(script) as peer, open_at(peer.url("")) as upstream:
        with trio.move_on_after(0.2):
            await fetched(upstream, peer)
        await peer.all_left()


async def test_pages_behind_a_slow_page_are_requested_on_other_connections() -> None:
    """The slow page takes three seconds; those behind it are requested again after two."""
    requests = [PageRequest(name=ProjectName(name), at_least=Serial(0)) for name in ("one", "two", "three", "four")]
    arrived: dict[str, float] = {}

    async def script(talk: Talk) -> None:
        while request := await talk.request():
            if b"/two/" in request:
                await trio.sleep(3)
            await talk.send(answer(b"gone", status=b"404 Not Found"))

    async with open_peer(script) as peer, open_at(peer.url("")) as upstream:
        began = trio.current_time()
        async with upstream.pages(requests) as groups:
            async for group in groups:
                assert all(isinstance(result.outcome, ProjectGone) for result in group)
                arrived.update({result.request.name: trio.current_time() - began for result in group})
    assert arrived["one"] < 1 < arrived["three"] < 2.9 < arrived["two"]
    assert 1 < arrived["four"] < 2.9
    assert peer.targets.count("/simple/two/") == 1
