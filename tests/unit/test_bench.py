"""The benchmark works, small and without rivals: so it cannot rot between two releases."""

import gzip
import shutil
import socket
from pathlib import Path

import msgspec
import pytest
from bench import measure, nginx, recipes, run, upstreams
from bench.peers import Home
from bench.recipes import Recipe
from bench.workloads import Workload, workloads

pytestmark = pytest.mark.skipif(bool(nginx.MISSING), reason=nginx.MISSING)


def tiny(recipe: Recipe) -> Recipe:
    """A few dozen files at a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return msgspec.structs.replace(recipes.quick(recipes.quick(recipe)), port=free.getsockname()[1])


def named(key: str) -> Workload:
    return next(workload for workload in workloads(tiny) if workload.key == key)


def test_an_upstream_holds_as_much_as_its_recipe_says(tmp_path: Path) -> None:
    recipe = recipes.quick(recipes.SMALL)
    made = upstreams.make(recipe, tmp_path)
    assert len(made.uploads) == recipe.projects
    assert len(made.files) == recipe.files
    assert sum(bool(upload.metadata_sha256) for upload in made.files) == recipe.wheels
    size = sum(upload.size + upload.metadata_size for upload in made.files)
    assert abs(size - recipe.size) < recipe.size / 100
    assert all((made.directory / upload.path).stat().st_size == upload.size for upload in made.files)


def test_an_upstream_is_made_once_and_anew_only_for_another_recipe(tmp_path: Path) -> None:
    recipe = tiny(recipes.SMALL)
    directory = upstreams.make(recipe, tmp_path).directory
    made_at = (directory / "made.json").stat().st_mtime_ns
    upstreams.make(recipe, tmp_path)
    assert (directory / "made.json").stat().st_mtime_ns == made_at
    upstreams.make(msgspec.structs.replace(recipe, port=recipe.port + 1), tmp_path)
    page = next((directory / "_simple").glob("parcel-*.json"))
    assert f":{recipe.port + 1}/packages/" in page.read_text()


def test_packed_answers_say_the_same_as_plain_ones(tmp_path: Path) -> None:
    recipe = tiny(recipes.INDEX)
    packed = [*upstreams.make(recipe, tmp_path).directory.rglob("*.json.gz")]
    assert len(packed) >= 2 * recipe.projects
    for path in packed:
        assert gzip.decompress(path.read_bytes()) == path.with_suffix("").read_bytes()


@pytest.mark.parametrize(
    "key", ["small", "changes", *(pytest.param(key, marks=pytest.mark.slow) for key in ("index", "still", "tls"))]
)
def test_mirrorsync_does_the_whole_work_of_each_workload(key: str, tmp_path: Path) -> None:
    """Each run ends with the workload's own checks: files, digests, pages, ledger."""
    options = run.parse(["--alone", "--rounds", "1", "--directory", str(tmp_path), "--work", str(tmp_path / "work")])
    workload = named(key)
    found = run.compete(workload, options)
    assert list(found) == [each.name for each in workload.contestants if not each.rival]
    for (figures,) in found.values():
        assert figures.wall > 0
        assert figures.cpu > 0
        assert 10_000_000 < figures.peak < 1_000_000_000


def test_a_tree_that_lacks_a_file_is_no_result(tmp_path: Path) -> None:
    recipe = tiny(recipes.SMALL)
    home = Home(tmp_path / "target", upstreams.make(recipe, tmp_path), tmp_path / "nginx")
    shutil.copytree(home.upstream.directory / "packages", home.web / "packages")
    contestant = named("small").contestants[0]
    with pytest.raises(measure.Failed, match="v1_json is absent"):
        contestant.check(home)
    missing = home.upstream.files[-1]
    (home.web / missing.path).unlink()
    with pytest.raises(measure.Failed, match="absent or has another size"):
        contestant.check(home)


def test_a_peer_that_fails_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(measure.Failed, match="ended with 3"):
        measure.run(measure.Command(["sh", "-c", "echo broken; exit 3"]), tmp_path / "log")


def test_the_peak_is_the_process_own_and_not_its_parent_s(tmp_path: Path) -> None:
    ballast = bytearray(200_000_000)
    figures = measure.run(measure.Command(["sleep", "0.2"]), tmp_path / "log")
    assert 0 < figures.peak < len(ballast) // 10
