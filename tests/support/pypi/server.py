"""A PyPI on 127.0.0.1: real TCP in a thread of its own, for trio tests, subprocesses and scripts."""

import asyncio
import re
import socket
import threading
from typing import Literal, Self

from tests.support.pypi.connection import Connection
from tests.support.pypi.edge import pass_edge
from tests.support.pypi.exchange import Answer, Log, Recorded, Request
from tests.support.pypi.faults import Fault
from tests.support.pypi.site import NO_SUCH_FILE, NOT_FOUND, Site, file_answer, is_file
from tests.support.pypi.values import Shape, normalise
from tests.support.pypi.wire import Origin
from tests.support.pypi.world import World

_ADDRESS = "127.0.0.1"
_TURNS = 100


class Rule:
    """Faults and the requests that they apply to; `hits` counts how often they applied."""

    def __init__(
        self, pattern: str, faults: tuple[Fault, ...], *, times: int | None, method: str | None, call: str | None
    ) -> None:
        self.hits = 0
        self._pattern = re.compile(pattern)
        self._faults = faults
        self._times = times
        self._method = method
        self._call = f"<methodName>{call}</methodName>".encode() if call else b""

    def take(self, request: Request) -> tuple[Fault, ...]:
        """Return the faults if the rule matches this request and is not used up."""
        if (self._times is not None and self.hits >= self._times) or self._method not in (None, request.method):
            return ()
        if self._call not in request.body or not self._pattern.search(request.target):
            return ()
        self.hits += 1
        return self._faults


class Faults:
    """The rules in force: for each request the first one that matches and is not used up applies. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []

    def add(
        self,
        pattern: str,
        *faults: Fault,
        times: int | None = None,
        method: str | None = None,
        call: str | None = None,
    ) -> Rule:
        """Append a rule: `pattern` is searched in path and query; `times` None: without limit.

        `call` is an XML-RPC method. All faults of the rule apply, in their order.
        """
        rule = Rule(pattern, faults, times=times, method=method, call=call)
        with self._lock:
            self._rules = [*self._rules, rule]
        return rule

    def remove(self, rule: Rule) -> None:
        """Remove a rule."""
        with self._lock:
            self._rules = [other for other in self._rules if other is not rule]

    def clear(self) -> None:
        """Remove all rules."""
        with self._lock:
            self._rules = []

    def take(self, request: Request) -> tuple[Fault, ...]:
        """Return the faults for this request."""
        if not self._rules:
            return ()
        with self._lock:
            return next((faults for rule in self._rules if (faults := rule.take(request))), ())


class PyPI:
    """Serves `world` while its context is open; `stop` and `start` keep ports, faults and log.

    All methods may be called from any thread.
    """

    def __init__(self, world: World, *, shape: Shape | None = None) -> None:
        self.world = world
        self.shape = shape or Shape()
        self.faults = Faults()
        self.log = Log()
        self._sockets = [_bind(0) for _ in range(2 if self.shape.files_elsewhere else 1)]
        self._ports: tuple[int, ...] = tuple(opened.getsockname()[1] for opened in self._sockets)
        self.url = f"http://{_ADDRESS}:{self._ports[0]}"
        self.files_url = f"http://{_ADDRESS}:{self._ports[-1]}"
        self._site = Site(world, Origin(self.url, self.files_url, self.shape))
        self._open_connections: set[Connection] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start to serve; on return connections are accepted, always on the same ports."""
        if self._thread is not None:
            raise RuntimeError("already running")
        self._sockets = self._sockets or [_bind(port) for port in self._ports]
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="upstream", daemon=True)
        self._thread.start()
        ready.wait()

    def stop(self) -> None:
        """Stop to serve; on return connections are refused, and open ones are aborted."""
        if self._thread is None or self._loop is None:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._thread = None

    @property
    def requests(self) -> list[Recorded]:
        """The requests so far, in order; each is recorded before its answer is sent."""
        return self.log.all()

    def clear_requests(self) -> None:
        """Clear the recorded requests."""
        self.log.clear()

    def seen(self, pattern: str, *, method: str | None = None, call: str | None = None) -> list[Recorded]:
        """Return the requests whose path or query matches `pattern`; `call` is their XML-RPC method."""
        wanted = f"<methodName>{call}</methodName>".encode() if call else b""
        return [
            request
            for request in self.requests
            if re.search(pattern, request.path) and method in (None, request.method) and wanted in request.body
        ]

    @property
    def page_cap(self) -> int:
        """The maximum number of rows in a changelog_since_serial answer."""
        return self._site.page_cap

    @page_cap.setter
    def page_cap(self, rows: int) -> None:
        self._site.page_cap = rows

    def hold(self, name: str, *, variant: Literal["gzip", "identity"] | None = None) -> None:
        """Freeze the project's pages as they are now, also a 404; with `variant` only that encoding."""
        self._site.held[normalise(name), _is_gzip(variant)] = self.world.page(name)

    def release(self, name: str) -> None:
        """Unfreeze the project's pages."""
        for variant in (None, True, False):
            self._site.held.pop((normalise(name), variant), None)

    def hold_root(self) -> None:
        """Freeze the root list as it is now."""
        with self.world.lock:
            self._site.held_root = self.world.listing(), self.world.last_serial or 0

    def truncate_root(self, projects: int) -> None:
        """Cut the root list to its first `projects`; it stays valid."""
        self._site.root_limit = projects

    def release_root(self) -> None:
        """Unfreeze the root list and restore its length."""
        self._site.held_root = self._site.root_limit = None

    def respond(self, request: Request, *, serves_files: bool = True, serves_index: bool = True) -> Answer:
        """Return the answer to `request`, with its faults."""

        def ask(asked: Request) -> Answer:
            if is_file(asked.path):
                return file_answer(asked, self.world, self.shape) if serves_files else NOT_FOUND
            return self._site.answer(asked) if serves_index else NO_SUCH_FILE

        answer = ask(request)
        for fault in self.faults.take(request):
            answer = fault.apply(answer, request, ask)
        return pass_edge(answer, request, self.shape)

    def _run(self, ready: threading.Event) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            servers = [runner.run(self._listen(*listener)) for listener in self._listeners()]
            self._loop.call_soon(ready.set)
            self._loop.run_forever()
            runner.run(self._close(servers))
        self._sockets = []

    def _listeners(self) -> list[tuple[socket.socket, bool, bool]]:
        if len(self._sockets) == 1:
            return [(self._sockets[0], True, True)]
        return [(self._sockets[0], False, True), (self._sockets[1], True, False)]

    async def _listen(self, listening: socket.socket, files: bool, index: bool) -> asyncio.Server:  # noqa: FBT001 - from a tuple
        def respond(request: Request) -> Answer:
            return self.respond(request, serves_files=files, serves_index=index)

        loop = asyncio.get_running_loop()
        return await loop.create_server(
            lambda: Connection(respond, self.log, self._open_connections), sock=listening, backlog=512
        )

    async def _close(self, servers: list[asyncio.Server]) -> None:
        for server in servers:
            server.close()
        for connection in tuple(self._open_connections):
            connection.abort()
        for server in servers:
            await server.wait_closed()
        for _ in range(_TURNS):  # an abort takes the loop a few turns
            if not self._open_connections:
                break
            await asyncio.sleep(0)


def _is_gzip(variant: str | None) -> bool | None:
    return None if variant is None else variant == "gzip"


def _bind(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((_ADDRESS, port))
    return listening
