"""HTTP behaviour that nginx with docs/nginx/mirrorsync.conf and mirrorsync's own server share."""

import gzip
import json
from urllib.parse import urljoin

import pytest

from tests.support.process.servers import Server
from tests.support.process.tree import LARGE, ROOT_SERIAL, Tree

HTML = "text/html"
V1_HTML = "application/vnd.pypi.simple.v1+html"
V1_JSON = "application/vnd.pypi.simple.v1+json"
WHEEL = "normal-1.0-py3-none-any.whl"
SDIST = "normal-1.0.tar.gz"
BIG = "foo_bar_baz-1.0-py3-none-any.whl"


@pytest.mark.parametrize("target", ["/simple/", "/simple/normal/"])
@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, HTML),
        ("", HTML),
        ("*/*", HTML),
        ("text/html", HTML),
        ("text/*", HTML),
        ("text/plain", HTML),
        ("application/json", HTML),
        ("application/*", V1_HTML),
        (V1_HTML, V1_HTML),
        (V1_JSON, V1_JSON),
        ("application/vnd.pypi.simple.latest+json", V1_JSON),
        ("application/vnd.pypi.simple.latest+html", V1_HTML),
        (f"{V1_JSON}, {V1_HTML};q=0.2, text/html;q=0.01", V1_JSON),
        (f"text/html, {V1_HTML}, {V1_JSON}", HTML),
        (f"text/html;q=0.01, {V1_HTML};q=0.2, {V1_JSON}", V1_JSON),
        (f"{V1_JSON};q=0.5, text/html;q=0.9", HTML),
        (f"{V1_JSON};q=0.5 , {V1_HTML} ; q=0.6", V1_HTML),
        (V1_JSON.upper() + ";Q=1.0, text/html;q=0.9", V1_JSON),
        ("*/*, text/html;q=0", V1_HTML),
        (f"application/*, {V1_HTML};q=0.1, text/html;q=0.3", V1_JSON),
        (f"{V1_JSON};q=0", HTML),
        (f"{V1_JSON};q=7, {V1_HTML}", V1_HTML),
        (f"{V1_JSON};version=1, {V1_HTML};q=0.1", V1_HTML),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML),
        (";;,,q=1,__proto__,constructor;q=1", HTML),
    ],
)
def test_best_accepted_representation_is_served(server: Server, target: str, accept: str | None, expected: str) -> None:
    reply = server.get(target, *([("Accept", accept)] if accept is not None else []))
    assert (reply.status, reply.headers["content-type"]) == (200, expected)
    assert "Accept" in reply.headers["vary"].replace(" ", "").split(",")
    if expected == V1_JSON:
        assert json.loads(reply.body)["meta"]["api-version"] == "1.4"
    else:
        assert reply.body.startswith(b"<!DOCTYPE html>")


def test_several_accept_headers_count_as_one(server: Server) -> None:
    reply = server.get("/simple/normal/", ("Accept", "text/html;q=0.1"), ("Accept", V1_JSON))
    assert reply.headers["content-type"] == V1_JSON


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"format={V1_JSON}", V1_JSON),
        ("format=application/vnd.pypi.simple.latest%2Bjson", V1_JSON),
        (f"x=1&format={V1_HTML}", V1_HTML),
        ("format=text/html", HTML),
        ("format=application/json", HTML),
        ("format=application/*", HTML),
        ("format=%zz", HTML),
    ],
)
def test_format_parameter_overrides_accept(server: Server, query: str, expected: str) -> None:
    reply = server.get(f"/simple/normal/?{query}", ("Accept", f"{V1_JSON};q=0.5"))
    assert (reply.status, reply.headers["content-type"]) == (200, expected)


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/simple", "/simple/"),
        ("/simple/normal", "/simple/normal/"),
        ("/simple/Foo.Bar_baz/", "/simple/foo-bar-baz/"),
        ("/simple/Foo.Bar_baz", "/simple/foo-bar-baz/"),
        ("/simple/foo--bar%5F.baz/?format=text/html", "/simple/foo-bar-baz/?format=text/html"),
        ("/simple/index.html/", "/simple/index-html/"),
        ("/pypi/NORMAL/json", "/pypi/normal/json"),
    ],
)
def test_other_spellings_are_redirected_permanently(server: Server, target: str, location: str) -> None:
    reply = server.get(target)
    assert (reply.status, reply.headers["location"]) == (301, location)
    assert reply.headers["cache-control"] == "max-age=600, public"


def test_root_redirects_to_the_simple_index(server: Server) -> None:
    reply = server.get("/")
    assert (reply.status, reply.headers["location"]) == (302, "/simple/")


def test_root_redirects_to_the_status_page_once_it_exists(server: Server, tree: Tree) -> None:
    page = tree.web / "mirrorsync" / "index.html"
    page.write_text("<!DOCTYPE html><title>status</title>")
    try:
        assert server.get("/").headers["location"] == "/mirrorsync/"
        reply = server.get("/mirrorsync/")
    finally:
        page.unlink()
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/html")
    assert "default-src 'none'; style-src 'unsafe-inline'" in reply.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("filename", "media_type"), [("index.html", HTML), ("index.v1_html", V1_HTML), ("index.v1_json", V1_JSON)]
)
@pytest.mark.parametrize("directory", ["/simple/", "/simple/normal/"])
def test_each_representation_has_its_own_url(server: Server, directory: str, filename: str, media_type: str) -> None:
    reply = server.get(directory + filename, ("Accept", "text/plain"))
    assert (reply.status, reply.headers["content-type"]) == (200, media_type)
    assert "Accept" not in reply.headers.get("vary", "").replace("Accept-Encoding", "")


@pytest.mark.parametrize("accept", [HTML, V1_HTML, V1_JSON])
def test_page_has_headers_for_its_serial_and_caching(server: Server, accept: str) -> None:
    reply = server.get("/simple/normal/", ("Accept", accept))
    assert reply.headers["x-pypi-last-serial"] == "101"
    assert reply.headers["cache-control"] == "max-age=600, public"
    assert reply.headers["access-control-allow-origin"] == "*"
    assert ("content-security-policy" in reply.headers) == (accept != V1_JSON)


def test_root_index_has_a_serial_header(server: Server) -> None:
    assert server.get("/simple/", ("Accept", V1_JSON)).headers["x-pypi-last-serial"] == str(ROOT_SERIAL)


@pytest.mark.parametrize("accept", [HTML, V1_JSON])
def test_conditional_request_for_an_unchanged_page_gets_304(server: Server, accept: str) -> None:
    first = server.get("/simple/normal/", ("Accept", accept))
    etag, modified = first.headers["etag"], first.headers["last-modified"]
    assert etag.startswith('"')
    for known in (("If-None-Match", etag), ("If-None-Match", f'"x", W/{etag}'), ("If-Modified-Since", modified)):
        reply = server.get("/simple/normal/", ("Accept", accept), known)
        assert (reply.status, reply.body) == (304, b"")
        assert reply.headers["etag"] == etag
        assert "Accept" in reply.headers["vary"]
        assert reply.headers["x-pypi-last-serial"] == "101"
    assert server.get("/simple/normal/", ("Accept", accept), ("If-None-Match", '"x"')).status == 200


def test_etags_differ_between_representations(server: Server) -> None:
    etag = server.get("/simple/normal/", ("Accept", HTML)).headers["etag"]
    assert server.get("/simple/normal/", ("Accept", V1_JSON), ("If-None-Match", etag)).status == 200


def test_compressed_page_has_the_same_content(server: Server) -> None:
    plain = server.get("/simple/normal/", ("Accept", V1_JSON))
    reply = server.get("/simple/normal/", ("Accept", V1_JSON), ("Accept-Encoding", "gzip"))
    compressed = reply.headers.get("content-encoding") == "gzip"
    assert (gzip.decompress(reply.body) if compressed else reply.body) == plain.body
    assert not compressed or "Accept-Encoding" in reply.headers["vary"]


@pytest.mark.parametrize("target", ["/simple/", "/simple/normal/", "/simple", "/simple/gone/", "/last-modified"])
def test_head_equals_get_without_the_body(server: Server, target: str) -> None:
    get, head = server.get(target), server.request("HEAD", target)
    assert (head.status, head.body) == (get.status, b"")
    assert {**head.headers, "date": ""} == {**get.headers, "date": ""}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("target", ["/simple/", "/simple/Foo/", "/last-modified", "/gone"])
def test_writing_methods_are_not_allowed(server: Server, method: str, target: str) -> None:
    reply = server.request(method, target, body=b"x" * 100_000)
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("name", [WHEEL, SDIST, f"{WHEEL}.metadata"])
def test_files_are_served_as_immutable_octet_streams(server: Server, tree: Tree, name: str) -> None:
    target = tree.path(name.removesuffix(".metadata")) + (".metadata" if name.endswith(".metadata") else "")
    reply = server.get(target, ("Accept-Encoding", "gzip, br"))
    assert (reply.status, reply.headers["content-type"]) == (200, "application/octet-stream")
    assert reply.body == (tree.web / target.lstrip("/")).read_bytes()
    assert reply.headers["cache-control"] == "max-age=365000000, immutable, public"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["accept-ranges"] == "bytes"
    assert "content-encoding" not in reply.headers
    assert "vary" not in reply.headers
    assert "x-pypi-last-serial" not in reply.headers
    assert server.get(target, ("If-None-Match", reply.headers["etag"])).status == 304


@pytest.mark.parametrize(
    ("value", "start", "end"),
    [("bytes=0-0", 0, 1), ("bytes=100-199", 100, 200), (f"bytes={LARGE}-", LARGE, None), ("bytes=-7", -7, None)],
)
def test_range_request_gets_part_of_a_file(server: Server, tree: Tree, value: str, start: int, end: int | None) -> None:
    whole = tree.stored(BIG)
    reply = server.get(tree.path(BIG), ("Range", value))
    assert (reply.status, reply.body) == (206, whole[start:end])
    first = start % len(whole)
    assert reply.headers["content-range"] == f"bytes {first}-{first + len(reply.body) - 1}/{len(whole)}"


def test_range_beyond_the_end_gets_416_with_the_size(server: Server, tree: Tree) -> None:
    size = len(tree.stored(BIG))
    reply = server.get(tree.path(BIG), ("Range", f"bytes={size}-"))
    assert (reply.status, reply.headers["content-range"]) == (416, f"bytes */{size}")


def test_if_range_with_another_etag_gets_the_whole_file(server: Server, tree: Tree) -> None:
    whole = tree.stored(BIG)
    etag = server.request("HEAD", tree.path(BIG)).headers["etag"]
    assert server.get(tree.path(BIG), ("Range", "bytes=5-"), ("If-Range", etag)).body == whole[5:]
    assert server.get(tree.path(BIG), ("Range", "bytes=5-"), ("If-Range", '"other"')).body == whole


@pytest.mark.parametrize(
    "target",
    [
        "/simple/gone/",
        "/simple/gone/index.html",
        "/simple/normal/index.json",
        "/simple/-bad-/",
        "/simple/a%20b/",
        "/simple//normal/",
        "//simple/",
        "/simple/normal//",
        "/packages",
        "/packages/",
        "/packages/aa/",
        "/packages/aa/bb/cc",
        "/pypi/gone/json",
        "/pypi/normal/",
        "/pypi/normal",
        "/mirrorsync/",
        "/mirrorsync/gone",
        "/last-modified/",
        "/robots",
    ],
)
def test_absent_path_or_directory_gets_a_plain_404(server: Server, target: str) -> None:
    reply = server.get(target)
    assert (reply.status, reply.body) == (404, b"404 Not Found")
    assert reply.headers["content-type"].startswith("text/plain")
    assert "cache-control" not in reply.headers


@pytest.mark.parametrize(
    "target",
    [
        "/../secret",
        "/simple/../../secret",
        "/%2e%2e/secret",
        "/simple/%2e%2e/%2e%2e/secret",
        "/simple/..%2f..%2fsecret",
        "/packages/..%5c..%5csecret",
        "/%252e%252e/secret",
        "/last-modified%00",
        "/simple/normal%00/",
        "/last-modified/../../secret",
    ],
)
def test_no_path_escapes_the_tree(server: Server, tree: Tree, target: str) -> None:
    (tree.web.parent / "secret").write_text("secret")
    reply = server.get(target)
    assert reply.status in (400, 404)
    assert b"secret" not in reply.body


def test_small_files_have_their_media_types(server: Server) -> None:
    for target in ("/last-modified", "/lastsync"):
        assert server.get(target).headers["content-type"].startswith("text/plain")
    for target in ("/mirrorsync/status.json", "/pypi/normal/json"):
        reply = server.get(target)
        assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
        assert json.loads(reply.body)
    assert server.get("/mirrorsync/status.json").headers["cache-control"] == "no-cache"


def test_every_link_of_every_page_resolves_to_its_size(server: Server) -> None:
    root = json.loads(server.get("/simple/", ("Accept", V1_JSON)).body)
    assert len(root["projects"]) == 4
    for project in root["projects"]:
        address = f"/simple/{project['name']}/"
        for file in json.loads(server.get(address, ("Accept", V1_JSON)).body)["files"]:
            target = urljoin(address, file["url"])
            assert server.request("HEAD", target).headers["content-length"] == str(file["size"])
            if file["core-metadata"]:
                assert server.request("HEAD", f"{target}.metadata").status == 200
