"""Compressed siblings: each page of the index has one, which is never older than the page."""

import gzip
from pathlib import Path

import pytest

from mirrorsync.errors import MirrorsyncError
from tests.support.mirror import Mirror
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

PACKED = {"gzip": True}


@pytest.fixture
def packed(tmp_path: Path, pypi: PyPI) -> Mirror:
    """A mirror with compressed siblings."""
    return Mirror(tmp_path / "mirror", pypi, content=PACKED)


def populate(world: World) -> None:
    for name in ("alpha", "Beta.b"):
        world.upload(name, "1.0")
        world.upload(name, "1.0", kind="sdist")


def pages(web: Path) -> list[Path]:
    return sorted(path for path in (web / "simple").rglob("index.*") if path.suffix != ".gz")


def siblings(web: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(web)): path.read_bytes() for path in web.rglob("*.gz") if path.name.startswith("index")
    }


def assert_each_has_its_own(web: Path, projects: int) -> None:
    standing = pages(web)
    assert len(standing) == 3 * (1 + projects)
    assert {str(path.relative_to(web)): path.read_bytes() for path in standing} == {
        name.removesuffix(".gz"): gzip.decompress(body) for name, body in siblings(web).items()
    }


async def test_every_page_has_an_equal_compressed_sibling(packed: Mirror, world: World) -> None:
    populate(world)
    await packed.sync()
    assert_each_has_its_own(packed.web, projects=2)
    world.upload("alpha", "2.0")
    world.upload("newcomer", "1.0")
    await packed.sync()
    assert_each_has_its_own(packed.web, projects=3)


async def test_sibling_depends_only_on_its_page(tmp_path: Path, pypi: PyPI, world: World) -> None:
    populate(world)
    one, other = (Mirror(tmp_path / name, pypi, content=PACKED) for name in ("one", "other"))
    await one.sync()
    await other.sync()
    assert siblings(one.web) == siblings(other.web)
    assert {body[4:8] for body in siblings(one.web).values()} == {b"\0\0\0\0"}


async def test_a_withdrawn_page_takes_its_siblings_with_it(packed: Mirror, world: World) -> None:
    populate(world)
    await packed.sync()
    world.remove_project("alpha")
    await packed.sync()
    assert not (packed.web / "simple" / "alpha").exists()
    assert_each_has_its_own(packed.web, projects=1)


async def test_siblings_come_and_go_with_their_setting(tmp_path: Path, pypi: PyPI, world: World) -> None:
    populate(world)
    plain, packed = Mirror(tmp_path / "mirror", pypi), Mirror(tmp_path / "mirror", pypi, content=PACKED)
    await plain.sync()
    assert siblings(plain.web) == {}
    await packed.sync()
    assert_each_has_its_own(packed.web, projects=2)
    await plain.sync()
    assert siblings(plain.web) == {}
    assert len(pages(plain.web)) == 9
    assert plain.problems() == []


async def test_page_is_never_newer_than_its_sibling(packed: Mirror, world: World) -> None:
    populate(world)
    await packed.sync()
    directory = packed.web / "simple" / "alpha"
    before = (directory / "index.v1_json").read_bytes()
    (directory / "index.v1_json.gz").unlink()
    (directory / "index.v1_json.gz" / "in the way").mkdir(parents=True)
    world.upload("alpha", "2.0")
    with pytest.raises(MirrorsyncError):
        await packed.sync()
    assert (directory / "index.v1_json").read_bytes() == before
    (directory / "index.v1_json.gz" / "in the way").rmdir()
    (directory / "index.v1_json.gz").rmdir()
    await packed.sync()
    assert_each_has_its_own(packed.web, projects=2)
