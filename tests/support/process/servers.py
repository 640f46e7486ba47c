"""Real servers for a tree: nginx with the project's configuration, and the server of `mirrorsync serve`."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import msgspec

import mirrorsync
from tests.support.process.launch import first_line, free_port, launch, serving, wait_for_port

DOCS = Path(__file__).parents[3] / "docs" / "nginx"
_NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or ""
_NJS = next((str(path) for path in Path("/usr/lib").glob("**/nginx/modules/ngx_http_js_module.so")), "")
NO_NGINX = "" if _NGINX and _NJS else "needs nginx with njs: apt-get install nginx libnginx-mod-http-js"
_SERVE = """
import pathlib, sys, trio
from mirrorsync.web.server import serve

async def main(web, access_log):
    async with trio.open_nursery() as nursery:
        start = lambda task_status: serve(web, listen="127.0.0.1:0", access_log=access_log, task_status=task_status)
        print((await nursery.start(start))[0], flush=True)

trio.run(main, pathlib.Path(sys.argv[1]), sys.argv[2])
"""


class Reply(msgspec.Struct, frozen=True):
    status: int
    headers: dict[str, str]
    """Lower-case names; repeated headers are joined by commas."""
    body: bytes


class Server(msgspec.Struct, frozen=True):
    port: int
    access_log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(self, method: str, target: str, *headers: tuple[str, str], body: bytes = b"") -> Reply:
        """Send this target and these headers as they are: nothing is normalised, followed or retried."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in (*headers, ("Content-Length", str(len(body)))) if body else headers:
                connection.putheader(name, value)
            connection.endheaders(body or None)
            response = connection.getresponse()
            joined: dict[str, str] = {}
            for name, value in response.getheaders():
                key = name.lower()
                joined[key] = f"{joined[key]}, {value}" if key in joined else value
            return Reply(response.status, joined, response.read())

    def get(self, target: str, *headers: tuple[str, str]) -> Reply:
        return self.request("GET", target, *headers)

    def requested(self) -> list[str]:
        """Return the targets that were requested since the start of the server, in order."""
        return re.findall(r'"(?:GET|HEAD) (\S+)', self.access_log.read_text())


@contextmanager
def nginx(config: str, web: Path, scratch: Path) -> Iterator[Server]:
    """Run nginx with `config`, a configuration of docs/nginx, with its port and paths replaced."""
    port = free_port()
    for old, new in (
        ("listen 80;", f"listen 127.0.0.1:{port};"),
        ("/srv/pypi/web", str(web)),
        ("/etc/nginx/mirrorsync/simple.js", str(DOCS / "simple.js")),
    ):
        config = config.replace(old, new)
    scratch.mkdir(parents=True)
    (scratch / "mirrorsync.conf").write_text(config)
    (scratch / "nginx.conf").write_text(_main_config(scratch))
    command = [_NGINX, "-p", str(scratch), "-c", str(scratch / "nginx.conf"), "-e", str(scratch / "error.log")]
    subprocess.run([*command, "-t", "-q"], check=True, timeout=20)
    with serving(launch(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)) as process:
        wait_for_port(port, process)
        yield Server(port=port, access_log=scratch / "access.log")
    assert "[alert]" not in (errors := (scratch / "error.log").read_text()), errors
    assert "js exception" not in errors


@contextmanager
def own_server(web: Path, scratch: Path) -> Iterator[Server]:
    """Run mirrorsync's own server in another process."""
    scratch.mkdir(parents=True)
    access_log = scratch / "access.log"
    variables = {**os.environ, "PYTHONPATH": str(Path(mirrorsync.__file__).parents[1])}
    command = [sys.executable, "-c", _SERVE, str(web), str(access_log)]
    with serving(launch(command, stderr=None, env=variables)) as process:
        port = int(first_line(process).rpartition(":")[2])
        yield Server(port=port, access_log=access_log)


def _main_config(scratch: Path) -> str:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"    {kind}_temp_path {scratch}/{kind};" for kind in kinds)
    # Only the owner may read the test's files, so an nginx that runs as root must not change to www-data.
    user = "user root;" if os.geteuid() == 0 else ""
    return f"""{user}
daemon off;
worker_processes 1;
pid {scratch}/nginx.pid;
load_module {_NJS};
events {{ worker_connections 64; }}
http {{
    access_log {scratch}/access.log;
{temporary}
    include {scratch}/mirrorsync.conf;
}}
"""


@contextmanager
def repeating_proxy(what: str) -> Iterator[int]:
    """Run a proxy that refuses each request with a message that contains `what`; yield its port."""

    def refuse(listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(
                    f"HTTP/1.1 407 Who is {what}\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n"
                    "Connection: close\r\n\r\n".encode()
                )

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=refuse, args=(listening,), daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
