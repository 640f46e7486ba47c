"""A stand-in for a cache, a CDN's API or a webhook: it records requests, and responds as configured."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

_HANG = 30.0
"""Seconds for which a request is left without a response; closing the server ends it."""


class Heard(msgspec.Struct, frozen=True):
    method: str
    path: str
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes
    at: float
    """Seconds since the epoch."""

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Says(msgspec.Struct, frozen=True):
    """A configured response."""

    status: int = 200
    body: bytes = b'{"success": true, "status": "ok"}'
    headers: Mapping[str, str] = {}
    hangs: bool = False
    after: float = 0.0
    """Seconds before it responds."""


class StandIn:
    """`first` are its first responses; `says` is every later one."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.says = Says()
        self.first: list[Says] = []
        self.ended = threading.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def paths(self, method: str) -> list[str]:
        return [each.path for each in self.heard if each.method == method]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    standin: StandIn

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(length)
        self.standin.heard.append(Heard(self.command, self.path, headers, body, time.time()))
        says = self.standin.first.pop(0) if self.standin.first else self.standin.says
        if says.hangs:
            self.standin.ended.wait(_HANG)
            self.close_connection = True
            return
        self.standin.ended.wait(says.after)
        self.send_response(says.status)
        for name, value in {**says.headers, "Content-Length": str(len(says.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(says.body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:  # the client was killed, or has timed out
            self.close_connection = True


for _method in ("GET", "POST", "PURGE", "BAN"):
    setattr(_Handler, f"do_{_method}", _Handler.answer)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


@contextmanager
def standing_in() -> Iterator[StandIn]:
    standin = StandIn()
    with _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"standin": standin})) as server:
        standin.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield standin
        finally:
            standin.ended.set()
            server.shutdown()
            thread.join()
