import gzip
import xmlrpc.client
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.pypi.server import PyPI
from tests.support.pypi.values import Shape
from tests.support.pypi.wire import HTML, SIMPLE_JSON
from tests.support.pypi.world import World

JSON = {"accept": SIMPLE_JSON}


@pytest.fixture
def client(pypi: PyPI) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=pypi.url, headers=JSON) as opened:
        yield opened


@pytest.fixture
def rpc(pypi: PyPI) -> Iterator[Any]:
    with xmlrpc.client.ServerProxy(f"{pypi.url}/pypi", allow_none=True) as proxy:
        yield proxy


def test_a_page_links_to_bytes_with_their_digest_and_sidecar(world: World, client: httpx.Client) -> None:
    made = world.upload("Holy_Grail", "1.0", provenance=True)
    answer = client.get("/simple/holy-grail/")
    (file,) = answer.json()["files"]
    assert answer.headers["content-type"] == SIMPLE_JSON
    assert answer.headers["x-pypi-last-serial"] == "4" == str(answer.json()["meta"]["_last-serial"])
    assert client.get(file["url"]).content == made.content
    assert client.get(file["url"] + ".metadata").content == made.metadata
    assert client.get(file["provenance"]).status_code == 406
    assert client.get(file["provenance"], headers={"accept": "*/*"}).json()["version"] == 1


def test_an_etag_gives_304_without_a_serial_and_gzip_has_another_etag(world: World, client: httpx.Client) -> None:
    world.upload("a", "1.0")
    packed = client.get("/simple/a/", headers={"accept-encoding": "gzip"})
    plain = client.get("/simple/a/", headers={"accept-encoding": "identity"})
    assert packed.json() == plain.json()
    assert packed.headers["etag"] != plain.headers["etag"]
    again = client.get("/simple/a/", headers={"accept-encoding": "identity", "if-none-match": plain.headers["etag"]})
    assert (again.status_code, again.content, "x-pypi-last-serial" in again.headers) == (304, b"", False)


def test_addresses_that_are_not_normal_lead_to_the_one_that_is(world: World, client: httpx.Client) -> None:
    world.create("foo.bar")
    assert client.get("/simple/Foo_Bar/").headers["location"] == "/simple/foo-bar/"
    assert client.get("/simple/foo-bar").headers["location"] == "/simple/foo-bar/"
    assert client.get("/simple/foo-bar", headers={"user-agent": "Go-http-client/1.1"}).status_code == 406
    missing = client.get("/simple/nothing/")
    assert (missing.status_code, missing.text) == (404, "404 Not Found")
    assert client.delete("/simple/foo-bar/").status_code == 405


def test_the_root_list_leaves_out_the_quarantined_and_can_be_held_and_cut(
    world: World, pypi: PyPI, client: httpx.Client
) -> None:
    for name in ("Zoo", "ant", "bad"):
        world.create(name)
    world.quarantine("bad")
    root = client.get("/simple/").json()
    assert root["meta"]["_last-serial"] == 7
    assert [(entry["name"], entry["_last-serial"]) for entry in root["projects"]] == [("ant", 4), ("Zoo", 2)]
    assert '<a href="/simple/zoo/">Zoo</a>' in client.get("/simple/", headers={"accept": HTML}).text
    pypi.hold_root()
    world.create("new")
    assert client.get("/simple/").json() == root
    pypi.release_root()
    assert client.get("/simple/").json()["meta"]["_last-serial"] == 9
    pypi.truncate_root(1)
    assert [entry["name"] for entry in client.get("/simple/").json()["projects"]] == ["ant"]
    pypi.truncate_root(0)
    assert client.get("/simple/").json()["projects"] == []


def test_rows_that_name_no_project_move_the_roots_serial(world: World, client: httpx.Client) -> None:
    world.create("a")
    client.get("/simple/")
    world.journal_row("", "keyrotate ", "")
    assert client.get("/simple/").json()["meta"]["_last-serial"] == 3


def test_the_changelog_comes_in_pages_above_the_serial_that_was_given(world: World, pypi: PyPI, rpc: Any) -> None:
    assert rpc.changelog_last_serial() is None
    world.upload("a", "1.0")
    world.quarantine("a")
    pypi.page_cap = 3
    assert [row[4] for row in rpc.changelog_since_serial(0)] == [1, 2, 3]
    assert [row[3] for row in rpc.changelog_since_serial(4)] == ["project quarantined"]
    assert rpc.changelog_since_serial(5) == []
    assert (rpc.changelog_last_serial(), rpc.list_packages_with_serial()) == (5, {"a": 5})


@pytest.mark.parametrize(
    ("call", "arguments", "code"),
    [
        ("changelog_since_serial", ("1",), -32602),
        ("changelog_since_serial", (), -32602),
        ("changelog", (0,), -32500),
        ("list_packages", (), -32500),
        ("no_such_method", (), -32601),
    ],
)
def test_a_wrong_call_is_a_fault_with_status_200(rpc: Any, call: str, arguments: tuple[Any, ...], code: int) -> None:
    with pytest.raises(xmlrpc.client.Fault) as caught:
        getattr(rpc, call)(*arguments)
    assert caught.value.faultCode == code


def test_only_text_xml_is_taken_for_xml_rpc(client: httpx.Client) -> None:
    assert client.post("/pypi", content=b"<x/>", headers={"content-type": "application/json"}).status_code == 404
    broken = client.post("/pypi", content=b"<x", headers={"content-type": "text/xml"})
    assert (broken.status_code, b"-32700" in broken.content) == (200, True)


def test_legacy_json_lists_empty_releases(world: World, client: httpx.Client) -> None:
    file = world.upload("A.b", "1.0")
    world.upload("A.b", "2.0a1")
    world.remove_file("a-b", "a_b-2.0a1-py3-none-any.whl")
    body = client.get("/pypi/A.B/json").json()
    assert (body["info"]["name"], body["info"]["version"], body["last_serial"]) == ("A.b", "1.0", 7)
    assert (list(body["releases"]), body["releases"]["2.0a1"]) == (["1.0", "2.0a1"], [])
    assert body["urls"][0]["digests"]["blake2b_256"] == file.place
    assert client.get("/pypi/a-b/1.0.0/json").json()["urls"] == body["urls"]
    world.create("empty")
    assert client.get("/pypi/empty/json").json() == {"message": "Not Found"}


def test_files_come_in_ranges_know_no_validators_and_outlive_their_project(world: World, client: httpx.Client) -> None:
    file = world.upload("a", "1", filename="odd name+1.zip", content=b"0123456789")
    path = client.get("/simple/a/").json()["files"][0]["url"]
    world.remove_project("a")
    assert client.get(path, headers={"if-none-match": "*"}).content == b"0123456789"
    for asked, wanted in (("bytes=4-", b"456789"), ("bytes=2-3", b"23"), ("bytes=-1", b"9"), ("bytes=8-99", b"89")):
        part = client.get(path, headers={"range": asked})
        assert (part.status_code, part.content) == (206, wanted)
    assert client.get(path, headers={"range": "bytes=4-"}).headers["content-range"] == "bytes 4-9/10"
    assert client.get(path, headers={"range": "bytes=10-"}).status_code == 416
    head = client.head(path)
    assert (head.headers["content-length"], head.content) == (str(file.size), b"")
    missing = client.get("/packages/aa/bb/nothing.zip")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/xml")


def test_held_page_is_frozen_only_for_its_variant(world: World, pypi: PyPI, client: httpx.Client) -> None:
    world.upload("a", "1.0")
    pypi.hold("a", variant="gzip")
    world.upload("a", "2.0")

    def versions(encoding: str) -> Any:
        return client.get("/simple/a/", headers={"accept-encoding": encoding}).json()["versions"]

    assert (versions("gzip"), versions("identity")) == (["1.0"], ["1.0", "2.0"])
    pypi.release("a")
    assert versions("gzip") == ["1.0", "2.0"]


def test_page_held_before_it_exists_stays_404(world: World, pypi: PyPI, client: httpx.Client) -> None:
    pypi.hold("a")
    world.create("a")
    assert client.get("/simple/a/").status_code == 404


def test_a_plain_proxy_has_no_changelog_no_root_list_and_no_sidecars(world: World) -> None:
    file = world.upload("a", "1.0")
    with PyPI(world, shape=Shape.plain_proxy()) as pypi, httpx.Client(base_url=pypi.url, headers=JSON) as client:
        page = client.get("/simple/a/")
        rpc = client.post("/pypi", content=b"", headers={"content-type": "text/xml"})
        assert (rpc.status_code, client.get("/simple/").status_code) == (405, 404)
        assert page.json()["meta"] == {"_last-serial": "4", "api-version": "1.1"}
        assert not {"etag", "x-pypi-last-serial"} & set(page.headers)
        assert "core-metadata" not in page.json()["files"][0]
        assert "project-status" not in page.json()
        assert client.get(f"/{file.path}.metadata").status_code == 404


def test_files_may_have_another_listener_and_plain_paths(world: World) -> None:
    file = world.upload("A_b", "1.0")
    shape = Shape(files_elsewhere=True, hashed_paths=False)
    with PyPI(world, shape=shape) as pypi, httpx.Client(headers=JSON) as client:
        url = client.get(f"{pypi.url}/simple/a-b/").json()["files"][0]["url"]
        assert url == f"{pypi.files_url}/files/a-b/{file.filename}"
        assert client.get(url).content == file.content
        assert client.get(url.replace(pypi.files_url, pypi.url)).status_code == 404
        assert client.get(f"{pypi.files_url}/simple/a-b/").status_code == 404


def test_requests_are_recorded_with_their_outcomes(world: World, pypi: PyPI, client: httpx.Client) -> None:
    world.upload("a", "1.0")
    body = client.get("/simple/a/", headers={"accept-encoding": "identity"}).content
    client.get("/simple/b/")
    first, second = pypi.requests
    assert (first.method, first.path, first.status, first.sent) == ("GET", "/simple/a/", 200, len(body))
    assert (first.headers["accept"], second.status, second.connection) == (SIMPLE_JSON, 404, first.connection)
    assert first.time <= second.time
    assert pypi.seen("/b/$") == [second]
    pypi.clear_requests()
    assert pypi.requests == []


def test_server_restarts_at_the_same_address(world: World, pypi: PyPI, client: httpx.Client) -> None:
    world.create("a")
    client.get("/simple/a/").raise_for_status()
    pypi.stop()
    with pytest.raises(httpx.TransportError):
        client.get("/simple/a/")
    with pytest.raises(httpx.ConnectError):
        client.get("/simple/a/")
    pypi.start()
    client.get("/simple/a/").raise_for_status()


def test_body_is_gzip_for_clients_that_accept_it(world: World, client: httpx.Client) -> None:
    world.upload("a", "1.0")
    with client.stream("GET", "/simple/a/", headers={"accept-encoding": "gzip"}) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        assert gzip.decompress(b"".join(answer.iter_raw())).startswith(b'{"files":')
