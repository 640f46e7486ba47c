"""Garbled responses over a real socket: `python -m tests.fuzz.wire --runs 20000`; exit 1 if one does harm."""

import argparse
import math
import random
import ssl
import sys
import time
from collections.abc import Sequence
from typing import Final

import httpx
import msgspec
import trio

from tests.contract.peer import Peer, Talk, answer, echo, open_peer
from tests.contract.raw_answers import BODILESS, LAWFUL, UNLAWFUL
from tests.contract.transports import KINDS
from tests.fuzz.mutate import Mutator, Recipe

_LONGEST: Final = 2.0
"""Seconds after which a request counts as hanging."""
_SILENCE: Final = 0.05
"""The read timeout in seconds."""
_HARMS_MAX: Final = 5
"""The number of findings after which a search ends."""
_RECIPE: Final = Recipe(
    seeds=(*(case.raw for case in (*LAWFUL, *UNLAWFUL) if len(case.raw) < 1000), *BODILESS),
    words=(
        *(b"\r\n", b"\r\n\r\n", b"\n", b"\r", b" ", b":", b"0\r\n\r\n", b"4\r\nholy\r\n", b"ffffffff\r\n"),
        *(b"Content-Length: 4\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n"),
        *(b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"HTTP/1.0", b"HTTP/1.1 100 Continue\r\n\r\n"),
        *(b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\n\r\n", answer(b"smuggled")),
    ),
)


_WHOLE: Final = tuple(case.raw for case in LAWFUL if len(case.raw) < 1000)


class Outcome(msgspec.Struct, frozen=True):
    """The results of the runs."""

    runs: int
    taken: int
    refused: int
    slowest: float
    """The duration of the slowest request in seconds."""
    harms: tuple[str, ...]
    """The findings, with the bytes that cause them."""


class _Search:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - runs must be repeatable, not secret
        self._mutator = Mutator(_RECIPE, seed)
        self.raw = b""
        self.said = trio.Event()
        self.sending = 0
        self.taken = self.refused = 0
        self.slowest = 0.0
        self.harms: list[str] = []

    async def script(self, talk: Talk) -> None:
        """Answer a request for garbled bytes with the next ones, in pieces, and any other with its own target."""
        while request := await talk.request():
            if b" /honest/" in request:
                await talk.send(echo(request))
                continue
            self.sending += 1
            try:
                if await self._send(talk):
                    return
            finally:
                self.sending -= 1
                self.said.set()

    async def _send(self, talk: Talk) -> bool:
        """Send the next bytes; return whether the connection must end."""
        raw, rest = self.raw, self._random
        most = rest.choice((1, 7, 60, 5000))
        while raw:
            size = max(rest.randint(1, most), len(raw) // 12)
            await talk.send(raw[:size])
            raw = raw[size:]
        ending = rest.random()
        if ending < 0.1:
            await talk.reset()
        return ending < 0.6

    async def run(self, client: httpx.AsyncClient, peer: Peer, number: int) -> None:
        """Make a request with a garbled answer, then two with correct answers."""
        self.raw, self.said = self._next(), trio.Event()
        started = time.perf_counter()
        try:
            with trio.fail_after(_LONGEST):
                await client.request(self._random.choice(("GET", "GET", "HEAD", "POST")), peer.url(f"/{number}"))
            self.taken += 1
            self._mutator.accepted(self.raw)
        except httpx.HTTPError:
            self.refused += 1
        except Exception as error:  # noqa: BLE001 - other errors are what the search looks for
            self._harm(f"{type(error).__name__}: {error}")
        self.slowest = max(self.slowest, time.perf_counter() - started)
        # Bytes that arrive after the next request are its response: no client can tell the difference.
        with trio.move_on_after(_LONGEST):
            await self.said.wait()
            while self.sending:  # noqa: ASYNC110 -- a repeated request is answered twice; this takes milliseconds
                await trio.sleep(0.001)
        for path in (f"/honest/{number}/1", f"/honest/{number}/2"):
            await self._request_honestly(client, peer, path)

    def _next(self) -> bytes:
        """Return a slightly garbled response, or a correct one with bytes after its end."""
        if self._random.random() < 0.7:
            return self._mutator.next()
        raw = self._random.choice(_WHOLE)
        return raw + self._random.choice((b"", b"\r\n", b"H", answer(b"smuggled"), self._mutator.next()))

    async def _request_honestly(self, client: httpx.AsyncClient, peer: Peer, path: str) -> None:
        try:
            with trio.fail_after(_LONGEST):
                response = await client.get(peer.url(path), timeout=_LONGEST)
        except Exception as error:  # noqa: BLE001 - a correct answer must arrive
            self._harm(f"the next request ends in {type(error).__name__}: {error}")
            return
        if response.content != path.encode():
            self._harm(f"the next request is answered by {response.content[:40]!r}")

    def _harm(self, what: str) -> None:
        self.harms.append(f"{what}\n  after {self.raw[:300]!r}")


async def search(runs: int, *, seed: int, transport: httpx.AsyncBaseTransport) -> Outcome:
    """Make `runs` runs over one transport, the same for the same `seed`, or fewer if they find enough."""
    found = _Search(seed)
    number = 0
    async with (
        open_peer(found.script, longest=math.inf) as peer,
        httpx.AsyncClient(transport=transport, timeout=_SILENCE, trust_env=False) as client,
    ):
        for number in range(1, runs + 1):
            await found.run(client, peer, number)
            if len(found.harms) >= _HARMS_MAX:
                break
    return Outcome(number, found.taken, found.refused, found.slowest, tuple(found.harms))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the search and print its results."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.wire", description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same runs for the same seed")
    parser.add_argument("--transport", choices=[kind.name for kind in KINDS], default="ours")
    options = parser.parse_args(arguments)
    started = time.perf_counter()

    transport = {kind.name: kind for kind in KINDS}[options.transport].build(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    async def do() -> Outcome:
        return await search(options.runs, seed=options.seed, transport=transport)

    outcome = trio.run(do)
    harms = "\n".join(outcome.harms)
    sys.stdout.write(
        f"seed {options.seed}: {outcome.runs:,} runs in {time.perf_counter() - started:.1f} s, {outcome.taken:,} taken,"
        f" {outcome.refused:,} refused, slowest {outcome.slowest:.2f} s, {len(outcome.harms)} harms\n{harms}\n"
    )
    return 1 if outcome.harms else 0


if __name__ == "__main__":
    sys.exit(main())
