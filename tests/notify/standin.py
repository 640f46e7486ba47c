"""A stand-in for a cache, a CDN's API or a webhook: it records requests and responds as configured."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

_HANG = 30.0
"""Seconds until a request without a response is dropped; closing the server drops it at once."""


class RecordedRequest(msgspec.Struct, frozen=True):
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


class ConfiguredResponse(msgspec.Struct, frozen=True):
    """A configured response."""

    status: int = 200
    body: bytes = b'{"success": true, "status": "ok"}'
    headers: Mapping[str, str] = {}
    hangs: bool = False
    after: float = 0.0
    """Seconds before the response."""


class StandIn:
    """`first` holds the first responses; `response` is every later one."""

    def __init__(self) -> None:
        self.requests: list[RecordedRequest] = []
        self.response = ConfiguredResponse()
        self.first: list[ConfiguredResponse] = []
        self.closed = threading.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def paths(self, method: str) -> list[str]:
        return [each.path for each in self.requests if each.method == method]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    standin: StandIn

    def respond(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(length)
        self.standin.requests.append(RecordedRequest(self.command, self.path, headers, body, time.time()))
        response = self.standin.first.pop(0) if self.standin.first else self.standin.response
        if response.hangs:
            self.standin.closed.wait(_HANG)
            self.close_connection = True
            return
        self.standin.closed.wait(response.after)
        self.send_response(response.status)
        for name, value in {**response.headers, "Content-Length": str(len(response.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:  # the client was killed, or has timed out
            self.close_connection = True


for _method in ("GET", "POST", "PURGE", "BAN"):
    setattr(_Handler, f"do_{_method}", _Handler.respond)


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
            standin.closed.set()
            server.shutdown()
            thread.join()
