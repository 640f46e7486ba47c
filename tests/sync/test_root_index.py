"""The root index: written after changes, and not more often than it is worth."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from trio.testing import MockClock

from mirrorsync.app.wiring import open_context
from mirrorsync.ports import Store
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.publish_status import publish_status
from mirrorsync.sync.root_index import RootIndexPacer, publish_root
from tests.support.mirror import Mirror
from tests.support.pypi.world import World


class Slow:
    """A store whose disk takes two seconds to flush."""

    def __init__(self, store: Store, clock: MockClock) -> None:
        self._store = store
        self._clock = clock

    async def settle(self) -> None:
        self._clock.jump(2)
        await self._store.settle()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def shown(mirror: Mirror) -> list[str]:
    root = json.loads((mirror.web / "simple" / "index.v1_json").read_bytes())
    return [project["name"] for project in root["projects"]]


def stamps(mirror: Mirror) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (mirror.web / "simple").glob("index.*")}


async def respell(context: SyncContext, spelling: str) -> None:
    """Change the display name of the project in the state."""
    await context.state.database.write(
        lambda connection: (
            connection.execute("UPDATE project SET display_name = ?", (spelling,)),
            connection.execute("UPDATE mirror SET root_version = root_version + 1"),
        )
    )


async def test_root_index_is_rewritten_after_twenty_times_its_cost(
    mirror: Mirror, world: World, mock_clock: MockClock
) -> None:
    mock_clock.rate = 1
    world.upload("alpha", "1.0")
    await mirror.sync()
    async with open_context(mirror.settings, mirror.observer, mirror.clock) as context:
        mock_clock.rate = 0
        slow, pace = dataclasses.replace(context, store=Slow(context.store, mock_clock)), RootIndexPacer()
        await respell(context, "Alpha")
        await pace.publish(slow)
        assert (shown(mirror), pace.is_owed) == (["Alpha"], False)
        await respell(context, "ALPHA")
        mock_clock.jump(39)
        await pace.publish(slow)
        assert (shown(mirror), pace.is_owed, pace.is_due) == (["Alpha"], True, False)
        mock_clock.jump(2)
        assert pace.is_due
        await pace.publish(slow)
        assert (shown(mirror), pace.is_owed) == (["ALPHA"], False)
        await respell(context, "aLPHA")
        pace.hurry()
        await pace.publish(slow)
        assert (shown(mirror), pace.is_owed) == (["aLPHA"], False)


async def test_complete_stamp_waits_for_the_root_index(mirror: Mirror, world: World) -> None:
    world.upload("alpha", "1.0")
    await mirror.sync()
    stamp = mirror.web / "last-modified"
    before = stamp.read_bytes()
    mirror.clock.forward(100)
    async with open_context(mirror.settings, mirror.observer, mirror.clock) as context:
        await context.state.database.write(
            lambda connection: connection.execute("UPDATE mirror SET complete_at = complete_at + 100").rowcount
        )
        await publish_status(context, root_is_owed=True)
        assert stamp.read_bytes() == before
        await publish_status(context, root_is_owed=False)
        assert stamp.read_bytes() > before


async def test_a_form_that_says_nothing_new_stays_untouched(mirror: Mirror, world: World) -> None:
    world.upload("alpha", "1.0")
    await mirror.sync()
    before = stamps(mirror)
    world.upload("alpha", "2.0")
    await mirror.sync()
    after = stamps(mirror)
    assert after["index.v1_json"] > before["index.v1_json"]
    assert (after["index.html"], after["index.v1_html"]) == (before["index.html"], before["index.v1_html"])
    world.upload("newcomer", "1.0")
    await mirror.sync()
    assert min(stamps(mirror).values()) > max(after.values())


async def test_damaged_root_index_form_is_rewritten(mirror: Mirror, world: World) -> None:
    world.upload("alpha", "1.0")
    await mirror.sync()
    simple = mirror.web / "simple"
    whole = (simple / "index.html").read_bytes()
    for spoil in (whole[:-1], whole + b" ", b"", None):
        for name in ("index.html", "index.v1_html"):
            _leave(simple / name, spoil)
        async with open_context(mirror.settings, mirror.observer, mirror.clock) as context:
            await respell(context, "alpha")
            await publish_root(context)
        assert [(simple / name).read_bytes() for name in ("index.html", "index.v1_html")] == [whole] * 2


def _leave(path: Path, body: bytes | None) -> None:
    path.unlink()
    if body is not None:
        path.write_bytes(body)
