"""The status, stamps and trace that a mirror publishes."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from mirrorsync.app.wiring import open_context
from mirrorsync.errors import StoreDenied
from mirrorsync.sync import single_pass as passes
from mirrorsync.sync.daemon_loop import DaemonLoop
from mirrorsync.sync.poll_schedule import PollSchedule
from mirrorsync.sync.publish_status import publish_status
from mirrorsync.web.server import serve
from tests.support.mirror import Mirror
from tests.support.pypi.faults import Status
from tests.support.pypi.server import PyPI
from tests.support.pypi.values import Shape
from tests.support.pypi.world import World


def document(mirror: Mirror, name: str) -> Any:
    return json.loads((mirror.web / name).read_bytes())


@asynccontextmanager
async def served(mirror: Mirror) -> AsyncIterator[str]:
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(partial(serve, mirror.web, listen="127.0.0.1:0"))
        yield address
        nursery.cancel_scope.cancel()


class Above:
    """A mirror as another one's upstream."""

    def __init__(self, url: str) -> None:
        self.url = self.files_url = url


async def test_a_complete_mirror_says_so_in_every_form(mirror: Mirror, world: World) -> None:
    world.upload("alpha", "1.0")
    await mirror.sync()
    assert (mirror.web / "lastsync").read_bytes() == b"1800000000\n"
    assert (mirror.web / "last-modified").read_bytes() == b"20270115T08:00:00\n"
    assert document(mirror, "mirrorsync/trace.json") == {
        "hops": [
            {
                "name": "operator.test",
                "software": "mirrorsync 0.1.0",
                "date": "2027-01-15T08:00:00Z",
                "timestamp": 1_800_000_000,
                "upstream": mirror.pypi.url,
                "serial": world.last_serial,
            }
        ],
        "format": 1,
    }
    (job,) = document(mirror, "mirrorsync/tunasync.json")
    assert job["status"] == "success"
    assert (job["last_update"], job["last_update_ts"]) == ("2027-01-15 08:00:00 +0000", 1_800_000_000)
    assert (job["next_schedule"], job["next_schedule_ts"]) == ("0001-01-01 00:00:00 +0000", -62_135_596_800)
    assert job["size"].rstrip("BKM").replace(".", "").isdecimal()
    assert document(mirror, "mirrorsync/history.json")["complete_at"] == 1_800_000_000
    page = (mirror.web / "mirrorsync/index.html").read_text()
    assert "Up to date" in page
    assert mirror.problems() == []


async def test_stamps_are_kept_while_the_mirror_is_incomplete(mirror: Mirror, world: World) -> None:
    world.upload("alpha", "1.0")
    await mirror.sync()
    stamps = ("lastsync", "last-modified", "mirrorsync/trace.json")
    before = [(mirror.web / name).read_bytes() for name in stamps]
    mirror.clock.forward(1000)
    world.upload("alpha", "2.0")
    mirror.pypi.faults.add(r"/alpha-2\.0.*whl$", Status(404))
    await mirror.sync()
    assert [(mirror.web / name).read_bytes() for name in stamps] == before
    page = (mirror.web / "mirrorsync/index.html").read_text()
    assert "Up to date, but for 1 project" in page
    assert "<h3>alpha</h3>" in page
    (job,) = document(mirror, "mirrorsync/tunasync.json")
    assert (job["status"], job["last_update_ts"]) == ("failed", 1_800_000_000)
    assert document(mirror, "mirrorsync/history.json")["worst"][-1]["lag_seconds"] == 1000


async def test_unreachable_upstream_is_shown_on_the_status_page(mirror: Mirror, world: World) -> None:
    world.upload("alpha", "1.0")
    await mirror.sync()
    mirror.clock.forward(7200)
    async with open_context(mirror.settings, mirror.observer, mirror.clock) as context:
        await publish_status(context, root_is_owed=False, next_run_at=mirror.clock() + 60)
    assert "Out of touch with upstream" in (mirror.web / "mirrorsync/index.html").read_text()
    assert document(mirror, "mirrorsync/tunasync.json")[0]["status"] == "failed"
    assert document(mirror, "mirrorsync/tunasync.json")[0]["next_schedule_ts"] == 1_800_007_260
    assert (mirror.web / "lastsync").read_bytes() == b"1800000000\n"


async def test_mirror_with_a_long_poll_interval_is_not_late_early(tmp_path: Path, pypi: PyPI, world: World) -> None:
    world.upload("alpha", "1.0")
    mirror = Mirror(tmp_path / "mirror", pypi, upstream={"poll-interval": "6h"})
    await mirror.sync()
    for hours, headline, status in ((2, "Up to date", "success"), (24, "Out of touch with upstream", "failed")):
        mirror.clock.forward(hours * 3600)
        async with open_context(mirror.settings, mirror.observer, mirror.clock) as context:
            await publish_status(context, root_is_owed=False, next_run_at=mirror.clock() + 60)
        assert headline in (mirror.web / "mirrorsync/index.html").read_text()
        assert document(mirror, "mirrorsync/tunasync.json")[0]["status"] == status


async def test_traces_that_say_nothing_new_stay_untouched(mirror: Mirror, world: World) -> None:
    world.upload("alpha", "1.0")
    await mirror.sync()
    names = ("lastsync", "last-modified", "mirrorsync/trace.json", "mirrorsync/history.json", "mirrorsync/index.html")
    before = [(mirror.web / name).stat().st_mtime_ns for name in names]
    async with open_context(mirror.settings, mirror.observer, mirror.clock) as context:
        await publish_status(context, root_is_owed=False)
    assert [(mirror.web / name).stat().st_mtime_ns for name in names] == before


async def test_a_history_that_is_no_history_begins_anew(mirror: Mirror, world: World) -> None:
    world.upload("alpha", "1.0")
    await mirror.sync()
    (mirror.web / "mirrorsync/history.json").write_bytes(b"{" * 2_000_000)
    await mirror.sync()
    assert document(mirror, "mirrorsync/history.json")["complete_at"] == 1_800_000_000


async def test_the_name_and_the_address_are_the_operators(tmp_path: Path, pypi: PyPI, world: World) -> None:
    world.upload("alpha", "1.0")
    mirror = Mirror(
        tmp_path / "mirror",
        pypi,
        mirror={"name": "A <b>mirror</b>"},
        content={"root-url": "https://mirror.test/pypi"},
    )
    await mirror.sync()
    page = (mirror.web / "mirrorsync/index.html").read_text()
    assert "<h1>A &lt;b&gt;mirror&lt;/b&gt;</h1>" in page
    assert "pip install --index-url https://mirror.test/pypi/simple/ PROJECT" in page
    assert document(mirror, "mirrorsync/trace.json")["hops"][0]["name"] == "A <b>mirror</b>"


async def test_a_mirror_of_a_mirror_tells_both_hops(tmp_path: Path, mirror: Mirror, world: World) -> None:
    world.upload("alpha", "1.0")
    await mirror.sync()
    async with served(mirror) as url:
        below = Mirror(tmp_path / "below", Above(url), mirror={"name": "below.test"})  # type: ignore[arg-type]  # only its URLs are used
        await below.sync()
        hops = document(below, "mirrorsync/trace.json")["hops"]
        assert [each["name"] for each in hops] == ["below.test", "operator.test"]
        assert [each["upstream"] for each in hops] == [url, mirror.pypi.url]
        assert hops[1] == document(mirror, "mirrorsync/trace.json")["hops"][0]


async def test_index_with_a_journal_is_not_asked_for_a_trace(mirror: Mirror, world: World) -> None:
    world.upload("alpha", "1.0")
    await mirror.sync()
    assert not [request for request in mirror.pypi.requests if "trace" in request.path]


async def test_index_without_a_trace_is_requested_once(tmp_path: Path, world: World) -> None:
    world.upload("alpha", "1.0")
    with PyPI(world, shape=Shape(xmlrpc=False)) as pypi:
        mirror = Mirror(tmp_path / "mirror", pypi)
        async with open_context(mirror.settings, mirror.observer, mirror.clock) as context:
            await passes.sync(context)
            await passes.sync(context)
        asked = [request.status for request in pypi.requests if "trace" in request.path]
        assert asked == [404]
        assert len(document(mirror, "mirrorsync/trace.json")["hops"]) == 1


async def until_contains(page: Path, text: bytes) -> None:
    """Return once `page` contains `text`. Raises: TooSlowError."""
    with trio.fail_after(2000):
        while text not in await trio.Path(page).read_bytes():  # noqa: ASYNC110 -- a published file has no event
            await trio.sleep(20)


async def test_daemon_renews_its_status_without_changes(mirror: Mirror, world: World, mock_clock: MockClock) -> None:
    mock_clock.rate = 400.0
    world.upload("alpha", "1.0")
    await mirror.sync()
    mirror.pypi.faults.add("", Status(503))
    page = mirror.web / "mirrorsync/index.html"
    async with open_context(mirror.settings, mirror.observer, mirror.clock) as context:
        follower = DaemonLoop(context, PollSchedule(interval=60.0))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follower.run)
            mirror.clock.forward(60)
            await until_contains(page, b'As of <time datetime="2027-01-15T08:01:00Z">')
            mirror.clock.forward(7200)
            await until_contains(page, b"Out of touch with upstream")
            follower.stop()


async def test_a_daemon_that_stops_of_a_fault_says_so_last(mirror: Mirror, world: World) -> None:
    world.upload("alpha", "1.0")
    await mirror.sync()
    async with open_context(mirror.settings, mirror.observer, mirror.clock) as context:
        follower = DaemonLoop(context, PollSchedule(interval=60.0))
        follower._halt(StoreDenied("the disk is read-only"))
        with pytest.raises(StoreDenied):
            await follower.run()
    page = (mirror.web / "mirrorsync/index.html").read_text()
    assert "Stopped by a fault" in page
    assert "read-only" not in page
    assert "read-only" not in (mirror.web / "mirrorsync/status.json").read_text()
    assert document(mirror, "mirrorsync/tunasync.json")[0]["status"] == "failed"
