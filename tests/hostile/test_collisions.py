"""Two files that claim one path, and symlinks planted in the tree."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from mirrorsync.errors import StoreDenied
from mirrorsync.model.outcome import Failed, Mirrored
from tests.hostile.siege import Siege, digest_of, entry_of, page_of, place_in
from tests.support.pypi.faults import Body
from tests.support.pypi.server import PyPI
from tests.support.pypi.values import WorldFile


def _claim(pypi: PyPI, thief: str, file: WorldFile, **keys: Any) -> None:
    place_in(pypi, thief, page_of(thief, entry_of(pypi, file, **keys)))


async def test_second_digest_for_one_path_is_refused(siege: Siege, pypi: PyPI) -> None:
    file = pypi.world.upload("honest", "1.0")
    _claim(pypi, "thief", file, hashes={"sha256": digest_of("other")})
    await siege.sync(["honest"])
    for _ in range(3):
        await siege.sync()
        assert isinstance(siege.outcomes["thief"], Failed)
        siege.clock.forward(2 * 86400)
    assert siege.harm() == []
    assert file.filename in siege.stored()
    assert siege.page("honest")["files"][0]["hashes"]["sha256"] == file.sha256


@pytest.mark.xfail(strict=True, reason="an intention that never became a file keeps its path for ever")
async def test_unfulfilled_intention_does_not_block_a_valid_file(siege: Siege, pypi: PyPI) -> None:
    file = pypi.world.upload("honest", "1.0")
    _claim(pypi, "thief", file, hashes={"sha256": digest_of("other")})
    await siege.sync(["thief"])
    for _ in range(3):
        await siege.sync()
        assert isinstance(siege.outcomes["thief"], Failed)
        siege.clock.forward(2 * 86400)
    assert siege.harm() == []
    assert file.filename in siege.stored()


async def test_claim_of_a_served_path_with_other_bytes_is_refused(siege: Siege, pypi: PyPI) -> None:
    file = pypi.world.upload("honest", "1.0")
    await siege.sync()
    before = (siege.web / file.path).read_bytes()
    other = pypi.world.upload("other", "1.0", body=b"evil")
    _claim(pypi, "thief", other, filename=file.filename, url=f"{pypi.files_url}/{file.path}")
    await siege.sync()
    assert siege.refusal_problems("thief") == []
    assert (siege.web / file.path).read_bytes() == before


async def test_shared_file_stays_while_any_page_names_it(siege: Siege, pypi: PyPI) -> None:
    file = pypi.world.upload("honest", "1.0")
    _claim(pypi, "sharer", file)
    await siege.sync()
    assert isinstance(siege.outcomes["sharer"], Mirrored)
    pypi.faults.clear()
    pypi.world.upload("sharer", "2.0")
    for _ in range(3):
        siege.clock.forward(2 * 86400)
        await siege.sync()
    assert siege.problems() == []
    assert siege.harm() == []
    assert file.filename in siege.stored()


@pytest.mark.parametrize(
    "keys", [{}, {"size": 7}, {"requires-python": ">=4"}, {"yanked": "x"}, {"hashes": {"sha256": digest_of("y")}}]
)
async def test_file_listed_twice_is_one_file_or_refused(siege: Siege, pypi: PyPI, keys: dict[str, Any]) -> None:
    file = pypi.world.upload("victim", "1.0")
    entry = entry_of(pypi, file)
    place_in(pypi, "victim", page_of("victim", entry, entry | keys))
    await siege.sync()
    if keys:
        assert siege.refusal_problems("victim") == []
    else:
        assert len(siege.page("victim")["files"]) == 1
        assert siege.harm() == []


async def test_a_thousand_equal_entries_are_one_file_and_one_request(siege: Siege, pypi: PyPI) -> None:
    file = pypi.world.upload("victim", "1.0")
    place_in(pypi, "victim", page_of("victim", *[entry_of(pypi, file)] * 1000))
    await siege.sync()
    assert siege.harm() == []
    assert len(pypi.seen(rf"{file.filename}$")) == 1


def _plant(siege: Siege, file: WorldFile, where: str) -> None:
    elsewhere = siege.around / "bystander"
    web = siege.web
    places = {
        "a directory of files": (web / "packages" / file.place[:2], elsewhere),
        "the directory of all files": (web / "packages", elsewhere),
        "a project's directory": (web / "simple" / "victim", elsewhere),
        "a page": (web / "simple" / "victim" / "index.html", elsewhere / "secret"),
        "a file": (web / file.path, elsewhere / "secret"),
        "the root page": (web / "simple" / "index.html", elsewhere / "secret"),
        "the status": (web / "mirrorsync" / "status.json", elsewhere / "secret"),
        "staging": (siege.directory / "staging", elsewhere),
        "a dangling page": (web / "simple" / "victim" / "index.v1_json", siege.around / "bystander" / "new"),
    }
    link, target = places[where]
    if link.is_dir() and not link.is_symlink():
        link.rename(siege.directory / "state" / "moved")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    siege._outside = siege._look_outside()


@pytest.mark.parametrize("where", ["a page", "a file", "the root page", "the status", "a dangling page"])
async def test_symlink_in_place_of_an_object_is_replaced(siege: Siege, pypi: PyPI, where: str) -> None:
    file = pypi.world.upload("victim", "1.0")
    _plant(siege, file, where)
    await siege.sync()
    assert siege.problems() == []
    assert siege.harm() == []
    assert not [path for path in siege.web.rglob("*") if path.is_symlink()]


@pytest.mark.parametrize(
    "where", ["a directory of files", "the directory of all files", "a project's directory", "staging"]
)
async def test_symlink_in_place_of_a_directory_is_reported(siege: Siege, pypi: PyPI, where: str) -> None:
    file = pypi.world.upload("victim", "1.0")
    _plant(siege, file, where)
    with pytest.raises(StoreDenied) as refusal:
        await siege.sync()
    assert "symbolic link" in f"{refusal.value} {refusal.value.hint}"  # a path of this test holds "link"
    assert siege._changed_outside() == set()


@pytest.mark.parametrize("where", ["a directory of files", "a project's directory"])
async def test_symlink_planted_later_is_not_followed_by_a_removal(tmp_path: Path, pypi: PyPI, where: str) -> None:
    siege = Siege(tmp_path / "around", pypi)
    file = pypi.world.upload("victim", "1.0")
    await siege.sync()
    # The link's target contains the object to be deleted, too.
    stand_in = siege.around / "bystander" / Path(*Path(file.path).parts[2:])
    stand_in.parent.mkdir(parents=True)
    stand_in.write_bytes(b"not the mirror's")
    (siege.around / "bystander" / "index.html").write_bytes(b"not the mirror's")
    _plant(siege, file, where)
    pypi.world.remove_project("victim")
    for _ in range(3):
        siege.clock.forward(2 * 86400)
        try:
            await siege.sync()
        except StoreDenied as refusal:
            assert "symbolic link" in f"{refusal} {refusal.hint}"  # noqa: PT017 - it may be refused or left alone, but never followed
    assert siege._changed_outside() == set()


async def test_a_page_of_another_project_is_refused(siege: Siege, pypi: PyPI) -> None:
    file = pypi.world.upload("honest", "1.0")
    place_in(pypi, "victim", page_of("honest", entry_of(pypi, file)))
    await siege.sync()
    assert siege.refusal_problems("victim") == []


async def test_a_legacy_document_of_another_project_is_refused(tmp_path: Path, pypi: PyPI) -> None:
    siege = Siege(tmp_path / "around", pypi, content={"legacy-json": True})
    pypi.world.upload("victim", "1.0")
    pypi.faults.add(r"^/pypi/victim/json", Body(msgspec.json.encode({"info": {"name": "../../alpha"}})))
    await siege.sync()
    assert isinstance(siege.outcomes["victim"], Failed)
    assert siege.harm() == []
