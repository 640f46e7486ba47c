"""With `gzip = true` both nginx configurations serve the compressed siblings of pages."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from mirrorsync.simple import gzipped
from tests.support.process.servers import DOCS, NO_NGINX, Server, nginx
from tests.support.process.tree import build_tree

V1_JSON = "application/vnd.pypi.simple.v1+json"
MARKER = b"only in the sibling"
"""In no page, so a client that receives it was sent the sibling."""

pytestmark = pytest.mark.skipif(bool(NO_NGINX), reason=NO_NGINX or "")


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = build_tree(tmp_path_factory.mktemp("mirror") / "web")
    for directory in (tree.web / "simple", tree.web / "simple" / "normal"):
        (directory / "index.v1_json.gz").write_bytes(gzipped.pack(MARKER))
    sdist = tree.web / tree.path("normal-1.0.tar.gz").lstrip("/")
    sdist.with_name(f"{sdist.name}.gz").write_bytes(gzipped.pack(MARKER))
    return tree.web


@pytest.fixture(scope="module", params=["mirrorsync.conf", "without-njs.conf"])
def server(request: pytest.FixtureRequest, web: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with nginx((DOCS / request.param).read_text(), web, tmp_path_factory.mktemp("nginx") / "run") as running:
        yield running


@pytest.mark.parametrize("target", ["/simple/", "/simple/normal/"])
def test_only_clients_that_accept_gzip_get_the_sibling(server: Server, target: str) -> None:
    packed = server.get(target, ("Accept", V1_JSON), ("Accept-Encoding", "gzip"))
    assert (packed.status, packed.headers["content-encoding"], gzip.decompress(packed.body)) == (200, "gzip", MARKER)
    assert packed.headers["content-type"] == V1_JSON
    assert {"Accept", "Accept-Encoding"} <= set(packed.headers["vary"].replace(",", " ").split())
    plain = server.get(target, ("Accept", V1_JSON))
    assert plain.body.startswith(b"{")
    assert "content-encoding" not in plain.headers


def test_page_without_a_sibling_is_served_itself(server: Server) -> None:
    reply = server.get("/simple/recalled/", ("Accept", V1_JSON), ("Accept-Encoding", "gzip"))
    body = gzip.decompress(reply.body) if reply.headers.get("content-encoding") == "gzip" else reply.body
    assert b'"name":"recalled"' in body


def test_file_never_has_a_sibling(server: Server, web: Path) -> None:
    (sdist,) = web.glob("packages/*/*/*/normal-1.0.tar.gz")
    reply = server.get(f"/{sdist.relative_to(web)}", ("Accept-Encoding", "gzip"))
    assert (reply.status, reply.body) == (200, sdist.read_bytes())
