"""nginx in front of the upstreams: an ordinary process with its own prefix, one worker, no access log."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from bench import line
from bench.measure import Failed
from bench.recipes import Recipe
from bench.upstreams import Upstream

_PROGRAM: Final = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or ""
_NJS: Final = next((str(path) for path in Path("/usr/lib").glob("**/nginx/modules/ngx_http_js_module.so")), "")
MISSING: Final = "" if _PROGRAM and _NJS else "needs nginx with njs: apt-get install nginx libnginx-mod-http-js"

_SCRIPT: Final = """
function answer(r) {
  const body = r.requestText;
  const method = (/<methodName>\\s*(\\w+)/.exec(body) || [])[1];
  const since = (/<(?:int|i4|i8)>\\s*(\\d+)/.exec(body) || [])[1];
  const name = method === 'changelog_since_serial' && Number(since) >= Number(r.variables.last) ? 'nothing' : method;
  r.internalRedirect(`/_xmlrpc/${name}.xml`);
}
export default { answer };
"""

_SERVER: Final = """
    server {
        listen 127.0.0.1:@port@@tls@
        root @root@;
        set $last @last@;
        location = /pypi { js_content xmlrpc.answer; }
        location = /pypi/ { js_content xmlrpc.answer; }
        location /_xmlrpc/ {
            internal;
            default_type text/xml;
            error_page 405 =200 $uri;  # a static file for a POST
        }
        location ~ ^/simple/?$ {
            default_type application/vnd.pypi.simple.v1+json;
            add_header X-PyPI-Last-Serial $last;
            try_files /_simple/index.$form =406;
        }
        location ~ "^/simple/(?<project>[a-z]+-(?<serial>[0-9]+))/$" {
            default_type application/vnd.pypi.simple.v1+json;
            add_header X-PyPI-Last-Serial $serial;
            try_files /_simple/$project.$form =404;
        }
        location ~ "^/pypi/(?<project>[a-z]+-(?<serial>[0-9]+))/json$" {
            default_type application/json;
            add_header X-PyPI-Last-Serial $serial;
            try_files /_legacy/$project.json =404;
        }
        location /packages/ { gzip_static off; }
    }
"""

_CERTIFIED: Final = """ ssl;
        ssl_certificate @prefix@/server.pem;
        ssl_certificate_key @prefix@/server.key;"""

_MAIN: Final = """@user@
daemon off;
worker_processes 1;
pid @prefix@/nginx.pid;
load_module @njs@;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path @prefix@/client_body;
    proxy_temp_path @prefix@/proxy;
    fastcgi_temp_path @prefix@/fastcgi;
    uwsgi_temp_path @prefix@/uwsgi;
    scgi_temp_path @prefix@/scgi;
    js_import xmlrpc from @prefix@/xmlrpc.js;
    map $http_accept $form {
        default html;
        ~application/vnd\\.pypi\\.simple\\.v1\\+json json;
    }
    types { }
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    gzip_static on;
    keepalive_requests 100000;
@servers@
}
"""


def authority(prefix: Path) -> Path:
    """Return the certificate of the authority that signs the upstreams' certificates."""
    return prefix / "authority.pem"


@contextmanager
def serving(upstreams: Sequence[Upstream], prefix: Path) -> Iterator[None]:
    """Serve the upstreams while the context lasts, those with a delay through a relay. Raises: Failed."""
    for recipe in (upstream.recipe for upstream in upstreams):
        _refuse_taken_port(recipe)
    ports = [_free_port() if upstream.recipe.delay else upstream.recipe.port for upstream in upstreams]
    prefix.mkdir(parents=True, exist_ok=True)
    if any(upstream.recipe.tls for upstream in upstreams):
        _make_certificates(prefix)
    (prefix / "xmlrpc.js").write_text(_SCRIPT)
    (prefix / "nginx.conf").write_text(_configuration(upstreams, ports, prefix))
    command = [_PROGRAM, "-p", str(prefix), "-c", str(prefix / "nginx.conf"), "-e", str(prefix / "error.log")]
    with subprocess.Popen(command) as process, ExitStack() as relays:
        try:
            for upstream, port in zip(upstreams, ports, strict=True):
                recipe = upstream.recipe
                _wait_for(port, process)
                if recipe.delay:
                    _wait_for(recipe.port, relays.enter_context(line.relaying(recipe.port, port, recipe.delay)))
            yield
        finally:
            process.terminate()
            process.wait(timeout=20)


def _refuse_taken_port(recipe: Recipe) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", recipe.port))
        except OSError as error:
            raise Failed(f"port {recipe.port} is in use, and the pages of {recipe.name} link to it: {error}") from error


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _configuration(upstreams: Sequence[Upstream], ports: Sequence[int], prefix: Path) -> str:
    servers = "".join(
        _filled(
            _SERVER,
            port=str(port),
            tls=_filled(_CERTIFIED, prefix=str(prefix)) if upstream.recipe.tls else ";",
            root=str(upstream.directory),
            last=str(upstream.recipe.last),
        )
        for upstream, port in zip(upstreams, ports, strict=True)
    )
    # Other users may be unable to read the trees, so a root nginx must not change to www-data.
    user = "user root;" if os.geteuid() == 0 else ""
    return _filled(_MAIN, prefix=str(prefix), njs=_NJS, user=user, servers=servers)


def _filled(template: str, **values: str) -> str:
    for name, value in values.items():
        template = template.replace(f"@{name}@", value)
    return template


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"no server listens on port {port}") from error
            time.sleep(0.02)
        else:
            return


def _make_certificates(prefix: Path) -> None:
    """Make an authority and a certificate for the loopback address, both valid for a week."""
    key, common = prefix / "authority.key", ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-x509", "-days", "7"]
    ours = ["-subj", "/CN=bench", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    server = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    server += ["-addext", "basicConstraints=critical,CA:FALSE", "-CA", str(authority(prefix)), "-CAkey", str(key)]
    for words, keyout, out in (
        (ours, key, authority(prefix)),
        (server, prefix / "server.key", prefix / "server.pem"),
    ):
        command = [*common, *words, "-keyout", str(keyout), "-out", str(out)]
        subprocess.run(command, check=True, capture_output=True)
