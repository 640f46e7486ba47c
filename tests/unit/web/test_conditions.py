"""Conditional requests and ranges, through the application."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from mirrorsync.web.application import application

BODY = bytes(range(100))
MODIFIED = "Tue, 14 Nov 2023 22:13:20 GMT"
PATH = f"packages/aa/bb/{'0' * 60}/foo-1.0.zip"
TAG = f'"aabb{"0" * 60}"'


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    file = tmp_path / PATH
    file.parent.mkdir(parents=True)
    file.write_bytes(BODY)
    os.utime(file, (1_700_000_000, 1_700_000_000.5))
    transport = httpx.ASGITransport(application(tmp_path))
    async with httpx.AsyncClient(transport=transport, base_url="http://mirror.test") as client:
        yield client


async def get(client: httpx.AsyncClient, **headers: str) -> httpx.Response:
    return await client.get(f"/{PATH}", headers={name.replace("_", "-"): value for name, value in headers.items()})


async def is_whole(client: httpx.AsyncClient, **headers: str) -> bool:
    reply = await get(client, **headers)
    return reply.status_code == 200 and reply.content == BODY and "content-range" not in reply.headers


async def test_last_modified_is_an_http_date(client: httpx.AsyncClient) -> None:
    assert (await get(client)).headers["last-modified"] == MODIFIED


@pytest.mark.parametrize("tags", [TAG, f"W/{TAG}", f'"x", {TAG}', "*", f' {TAG} ,"y"'])
async def test_a_known_entity_tag_gets_304_without_a_body(client: httpx.AsyncClient, tags: str) -> None:
    reply = await get(client, if_none_match=tags)
    assert (reply.status_code, reply.content) == (304, b"")
    assert reply.headers["etag"] == TAG
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "content-type" not in reply.headers
    assert "content-length" not in reply.headers


@pytest.mark.parametrize("tags", [TAG.replace("b", "c"), TAG.strip('"'), '"x"', ""])
async def test_an_unknown_entity_tag_gets_the_whole_file(client: httpx.AsyncClient, tags: str) -> None:
    assert await is_whole(client, if_none_match=tags)


@pytest.mark.parametrize("date", [MODIFIED, "Tuesday, 14-Nov-23 22:13:20 GMT", "Tue Nov 14 22:13:20 2023"])
async def test_if_modified_since_accepts_all_three_forms_of_a_date(client: httpx.AsyncClient, date: str) -> None:
    assert (await get(client, if_modified_since=date)).status_code == 304


async def test_a_date_counts_only_without_an_entity_tag(client: httpx.AsyncClient) -> None:
    assert await is_whole(client, if_modified_since=MODIFIED, if_none_match='"old"')
    assert await is_whole(client, if_modified_since="Tue, 14 Nov 2023 22:13:19 GMT")
    assert await is_whole(client, if_modified_since="Tue, 14 Nov 2023 23:13:19 +0100")


@pytest.mark.parametrize("date", ["", "yesterday", "Tue, 99 Nov 2023 22:13:20 GMT", "0"])
async def test_a_malformed_date_is_ignored(client: httpx.AsyncClient, date: str) -> None:
    assert await is_whole(client, if_modified_since=date)


@pytest.mark.parametrize(
    ("value", "start", "length"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 10),
        ("bytes=90-", 90, 10),
        ("bytes=90-1000", 90, 10),
        ("bytes=-5", 95, 5),
        ("bytes=-500", 0, 100),
        ("bytes=99-99", 99, 1),
    ],
)
async def test_one_range_is_honoured(client: httpx.AsyncClient, value: str, start: int, length: int) -> None:
    reply = await get(client, range=value)
    assert (reply.status_code, reply.content) == (206, BODY[start:][:length])
    assert reply.headers["content-range"] == f"bytes {start}-{start + length - 1}/100"
    assert reply.headers["content-length"] == str(length)
    assert reply.headers["etag"] == TAG


@pytest.mark.parametrize("value", ["bytes=100-", "bytes=100-200", "bytes=-0"])
async def test_a_range_beyond_the_end_gets_416_with_the_size(client: httpx.AsyncClient, value: str) -> None:
    reply = await get(client, range=value)
    assert (reply.status_code, reply.content) == (416, b"")
    assert reply.headers["content-range"] == "bytes */100"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "cache-control" not in reply.headers


@pytest.mark.parametrize(
    "value",
    ["bytes=-", "bytes=0-1,5-6", "bytes=5-3", "lines=1-2", "bytes", "bytes=a-b", "bytes=--1", f"bytes={'9' * 5000}-"],
)
async def test_any_other_range_gets_the_whole_file(client: httpx.AsyncClient, value: str) -> None:
    assert await is_whole(client, range=value)


async def test_a_range_of_another_version_gets_the_whole_file(client: httpx.AsyncClient) -> None:
    assert (await get(client, range="bytes=1-", if_range=TAG)).status_code == 206
    assert (await get(client, range="bytes=1-", if_range=MODIFIED)).status_code == 206
    assert await is_whole(client, range="bytes=1-", if_range='"old"')
    assert await is_whole(client, range="bytes=1-", if_range=f"W/{TAG}")


async def test_a_range_in_a_head_request_is_ignored(client: httpx.AsyncClient) -> None:
    reply = await client.head(f"/{PATH}", headers={"Range": "bytes=1-2"})
    assert (reply.status_code, reply.headers["content-length"]) == (200, "100")
