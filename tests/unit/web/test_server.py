import os
import socket
from collections.abc import AsyncIterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from mirrorsync.errors import BadConfig
from mirrorsync.web.application import application
from mirrorsync.web.server import serve

PLACE = f"packages/aa/bb/{'0' * 60}"
LARGE = 5 << 20
SCOPE = {
    "type": "http",
    "method": "GET",
    "path": f"/{PLACE}/foo-1.0.zip",
    "raw_path": f"/{PLACE}/foo-1.0.zip".encode(),
    "query_string": b"",
    "headers": [],
}


@pytest.fixture
def web(tmp_path: Path) -> Path:
    tree = tmp_path / "web"
    (tree / "simple" / "foo").mkdir(parents=True)
    (tree / PLACE).mkdir(parents=True)
    (tree / "simple" / "foo" / "index.html").write_text("<!DOCTYPE html>\n<!--SERIAL 5-->")
    (tree / PLACE / "foo-1.0.zip").write_bytes(os.urandom(LARGE))
    return tree


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@pytest.fixture
async def client(web: Path) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(web))
    async with httpx.AsyncClient(transport=transport, base_url="http://mirror.test") as client:
        yield client


async def test_a_link_within_the_tree_is_followed(client: httpx.AsyncClient, web: Path) -> None:
    (web / "simple" / "foo" / "index.v1_html").symlink_to("index.html")
    reply = await client.get("/simple/foo/index.v1_html")
    assert reply.status_code == 200
    assert reply.headers["x-pypi-last-serial"] == "5"


async def test_a_link_out_of_the_tree_is_not_followed(client: httpx.AsyncClient, web: Path) -> None:
    secret = web.parent / "web-secret"
    secret.mkdir()
    (secret / "index.html").write_text("secret")
    (web / "simple" / "bar").symlink_to(secret)
    (web / "last-modified").symlink_to(secret / "index.html")
    assert (await client.get("/simple/bar/")).status_code == 404
    assert (await client.get("/last-modified")).status_code == 404


async def test_pipes_and_directories_are_not_found(client: httpx.AsyncClient, web: Path) -> None:
    os.mkfifo(web / "last-modified")
    (web / "mirrorsync" / "status.json").mkdir(parents=True)
    with trio.fail_after(5):
        assert (await client.get("/last-modified")).status_code == 404
        assert (await client.get("/mirrorsync/status.json")).status_code == 404


async def test_a_replaced_page_has_another_entity_tag(client: httpx.AsyncClient, web: Path) -> None:
    page = web / "simple" / "foo" / "index.html"
    first = await client.get("/simple/foo/")
    replacement = web / "new"
    replacement.write_text("<!DOCTYPE html>\n<!--SERIAL 6-->")
    replacement.replace(page)
    second = await client.get("/simple/foo/", headers={"If-None-Match": first.headers["etag"]})
    assert second.status_code == 200
    assert second.headers["x-pypi-last-serial"] == "6"


async def test_the_document_root_may_be_a_link(web: Path) -> None:
    link = web.parent / "link"
    link.symlink_to(web)
    transport = httpx.ASGITransport(application(link))
    async with httpx.AsyncClient(transport=transport, base_url="http://mirror.test") as client:
        assert (await client.get("/simple/foo/")).status_code == 200


async def test_a_client_that_disconnects_ends_the_reading(web: Path) -> None:
    sent: list[Mapping[str, Any]] = []
    left = trio.Event()

    async def receive() -> MutableMapping[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)
        if len(sent) == 2:
            left.set()
            await trio.testing.wait_all_tasks_blocked()

    with trio.fail_after(5):
        await application(web)({**SCOPE}, receive, send)
    assert len(sent) < 2 + LARGE // (1 << 20)


async def test_a_file_replaced_while_it_is_sent_is_sent_as_it_was(web: Path) -> None:
    file = web / PLACE / "foo-1.0.zip"
    content = file.read_bytes()
    sent = bytearray()

    async def send(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            replacement = web / "new"
            replacement.write_bytes(b"another file")
            replacement.replace(file)
        sent.extend(message.get("body", b""))

    await application(web)({**SCOPE}, trio.sleep_forever, send)
    assert sent == content


async def test_no_response_leaves_a_file_open(client: httpx.AsyncClient) -> None:
    target = f"/{PLACE}/foo-1.0.zip"
    etag = (await client.head(target)).headers["etag"]
    before = open_files()
    for value in ("bytes=0-", f"bytes={LARGE}-", "bytes=0-1,3-4"):
        await client.get(target, headers={"Range": value})
    assert (await client.get(target, headers={"If-None-Match": etag})).status_code == 304
    await client.head(target)
    await client.get("/simple/foo/")
    await client.get("/")
    assert open_files() == before


async def test_it_serves_on_a_free_port_until_the_shutdown_trigger(web: Path) -> None:
    stop = trio.Event()

    async def start(task_status: trio.TaskStatus[list[str]]) -> None:
        await serve(web, listen="127.0.0.1:0", shutdown_trigger=stop.wait, task_status=task_status)

    with trio.fail_after(10):
        async with trio.open_nursery() as serving:
            (address,) = await serving.start(start)
            async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
                assert (await client.get("/simple/foo/")).status_code == 200
                body = (await client.get(f"/{PLACE}/foo-1.0.zip")).content
                assert body == (web / PLACE / "foo-1.0.zip").read_bytes()
            stop.set()


@pytest.mark.parametrize("listen", ["", "8080", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:99999", "127.0.0.1:-1"])
async def test_a_malformed_address_is_refused_with_an_example(web: Path, listen: str) -> None:
    with trio.fail_after(5), pytest.raises(BadConfig) as refusal:
        await serve(web, listen=listen)
    assert refusal.value.hint


async def test_an_address_in_use_is_refused(web: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(BadConfig, match=f"cannot listen on {address}"):
            await serve(web, listen=address)


async def test_a_missing_tree_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="is not a directory"):
        await serve(tmp_path / "web", listen="127.0.0.1:0")
