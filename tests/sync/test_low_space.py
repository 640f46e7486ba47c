"""Low disk space: no file is requested that could not be stored."""

import random
from pathlib import Path

from tests.support.mirror import Mirror
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

LARGE = random.Random(4).randbytes(1 << 20)  # noqa: S311 -- no secret


def fill(world: World) -> None:
    for number in range(3):
        world.upload("small", f"{number}.0")
    world.upload("large", "1.0", body=LARGE)
    world.upload("mixed", "1.0", body=LARGE)
    world.upload("mixed", "1.0", kind="sdist")


async def test_file_without_room_is_requested_only_when_there_is_room(tmp_path: Path, pypi: PyPI, world: World) -> None:
    fill(world)
    mirror = Mirror(tmp_path / "mirror", pypi, limits={"min-free": "1 EiB"})
    for _ in range(3):
        totals = await mirror.sync()
        assert totals.errors == 3
        mirror.clock.forward(7200)
    assert pypi.seen("/packages/") == []
    assert {row["name"] for row in mirror.status()["unmet"]} == {"small", "large", "mixed"}
    mirror.sections["limits"]["min-free"] = "0"
    await mirror.sync()
    assert mirror.problems() == []
    asked = [request.path for request in pypi.seen("/packages/")]
    assert len(asked) == len(set(asked)) == 11


async def test_existing_files_are_adopted_without_room_for_more(tmp_path: Path, pypi: PyPI, world: World) -> None:
    fill(world)
    await Mirror(tmp_path / "mirror", pypi).sync()
    for path in (tmp_path / "mirror" / "state").glob("mirrorsync*"):
        path.unlink()
    mirror = Mirror(tmp_path / "mirror", pypi, limits={"min-free": "1 EiB"})
    pypi.clear_requests()
    await mirror.sync()
    assert mirror.problems() == []
    assert pypi.seen("/packages/") == []
