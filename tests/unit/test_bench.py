"""The benchmark works at small sizes and without its rivals."""

import gzip
import random
import shutil
import socket
import statistics
import sys
from pathlib import Path

import msgspec
import pytest
from bench import measure, nginx, peers, recipes, run, upstreams, varied
from bench.peers import Home
from bench.recipes import Recipe
from bench.workloads import Workload, against, workloads

pytestmark = pytest.mark.skipif(bool(nginx.MISSING), reason=nginx.MISSING)


def tiny(recipe: Recipe) -> Recipe:
    """Return a recipe of a few dozen files at a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return msgspec.structs.replace(recipes.quick(recipes.quick(recipe)), port=free.getsockname()[1])


def named(key: str) -> Workload:
    return next(workload for workload in workloads(tiny) if workload.key == key)


def test_upstream_has_the_numbers_of_its_recipe(tmp_path: Path) -> None:
    recipe = recipes.quick(recipes.SMALL)
    made = upstreams.make(recipe, tmp_path)
    assert len(made.uploads) == recipe.projects
    assert len(made.files) == recipe.files
    assert sum(bool(upload.metadata_sha256) for upload in made.files) == recipe.wheels
    size = sum(upload.size + upload.metadata_size for upload in made.files)
    assert abs(size - recipe.size) < recipe.size / 100
    assert all((made.directory / upload.path).stat().st_size == upload.size for upload in made.files)


def test_upstream_is_made_again_only_for_another_recipe(tmp_path: Path) -> None:
    recipe = tiny(recipes.SMALL)
    directory = upstreams.make(recipe, tmp_path).directory
    made_at = (directory / "made.json").stat().st_mtime_ns
    upstreams.make(recipe, tmp_path)
    assert (directory / "made.json").stat().st_mtime_ns == made_at
    upstreams.make(msgspec.structs.replace(recipe, port=recipe.port + 1), tmp_path)
    page = next((directory / "_simple").glob("parcel-*.json"))
    assert f":{recipe.port + 1}/packages/" in page.read_text()


def test_gzipped_responses_equal_the_plain_ones(tmp_path: Path) -> None:
    recipe = tiny(recipes.INDEX)
    packed = [*upstreams.make(recipe, tmp_path).directory.rglob("*.json.gz")]
    assert len(packed) >= 2 * recipe.projects
    for path in packed:
        assert gzip.decompress(path.read_bytes()) == path.with_suffix("").read_bytes()


@pytest.mark.parametrize(
    "key",
    ["small", "line", "status"]
    + [pytest.param(key, marks=pytest.mark.slow) for key in ("index", "index-new-key", "still", "changes", "tls")],
)
def test_mirrorsync_passes_the_checks_of_each_workload(key: str, tmp_path: Path) -> None:
    options = run.parse(["--alone", "--rounds", "1", "--directory", str(tmp_path), "--work", str(tmp_path / "work")])
    workload = named(key)
    found = run.compete(workload, options)
    assert list(found) == [each.name for each in workload.contestants if not each.rival]
    for (figures,) in found.values():
        assert figures.wall > (4 * recipes.LINE.delay if key == "line" else 0)
        assert figures.cpu > 0
        assert 10_000_000 < figures.peak < 1_000_000_000


def test_each_checkout_runs_from_its_own_state(tmp_path: Path) -> None:
    """The state of the other checkout is made by its own interpreter and its own bench/ledgers.py."""
    programs = tmp_path / "other" / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (programs / "python").chmod(0o755)
    (programs / "mirrorsync").symlink_to(Path(sys.executable).with_name("mirrorsync"))
    (tmp_path / "other" / "bench").symlink_to(peers.ROOT / "bench")
    workload = against(named("changes"), tmp_path / "other")
    options = run.parse(["--rounds", "1", "--directory", str(tmp_path), "--work", str(tmp_path / "work")])
    assert list(run.compete(workload, options)) == ["mirrorsync", "mirrorsync, before"]
    assert [(each.wanted, each.of) for each in workload.comparisons] == [(1.03, "CPU")]


def test_varied_files_differ_as_those_of_pypi_do() -> None:
    counts = upstreams.counts(recipes.INDEX)
    assert statistics.mean(counts) == 12
    assert statistics.median(counts) <= 7
    assert sum(count >= 200 for count in counts) >= 10
    noise = random.Random(1)  # noqa: S311 -- a seed, no secret
    files = [upload for number in range(500) for upload in varied.uploads(number, 12, noise)]
    assert {type(upload.yanked) for upload in files} == {bool, str}
    assert len({upload.requires_python for upload in files}) > 5
    assert len({upload.uploaded for upload in files}) > 5000
    wheels = [upload for upload in files if upload.filename.endswith(".whl")]
    assert 0.9 < sum(bool(upload.metadata_sha256) for upload in wheels) / len(wheels) < 1
    assert len({(upload.version, upload.filename) for upload in files}) == len(files)


def test_tree_without_a_file_fails_the_checks(tmp_path: Path) -> None:
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


def test_peer_that_exits_3_has_failed(tmp_path: Path) -> None:
    with pytest.raises(measure.Failed, match="exited with 3"):
        measure.run(measure.Command(["sh", "-c", "echo broken; exit 3"]), tmp_path / "log")


def test_peak_memory_excludes_the_parent_process(tmp_path: Path) -> None:
    ballast = bytearray(200_000_000)
    figures = measure.run(measure.Command(["sleep", "0.2"]), tmp_path / "log")
    assert 0 < figures.peak < len(ballast) // 10
