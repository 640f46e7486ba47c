"""Upstreams as static trees that nginx serves; each is made once.

.venv/bin/python -m bench.upstreams        makes those that the benchmark needs, which it otherwise does itself
"""

import gzip
import hashlib
import random
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench import pages, recipes
from bench.pages import Upload
from bench.recipes import Recipe

_METADATA_SIZE: Final = 1_200
"""Bytes, the median of PyPI's sidecars being somewhat more."""
_SMALLEST: Final = 300
"""Bytes of the smallest file."""


WORK: Final = Path(__file__).parent / "work"
"""What the benchmark makes and keeps; git ignores it."""


class _Made(msgspec.Struct, frozen=True):
    """What `made.json` keeps."""

    recipe: Recipe
    uploads: dict[str, list[Upload]]


class Upstream(msgspec.Struct, frozen=True):
    recipe: Recipe
    directory: Path
    """What nginx serves."""
    uploads: Mapping[str, Sequence[Upload]]
    """By project, in the order of upload; empty where no file is kept."""

    @property
    def files(self) -> list[Upload]:
        return [upload for uploads in self.uploads.values() for upload in uploads]


def make(recipe: Recipe, work: Path = WORK) -> Upstream:
    """Return the upstream of `recipe` below `work`; it is made if it is not there, or was made otherwise."""
    directory = work / "upstreams" / recipe.name
    stamp = directory / "made.json"
    made = _read(stamp)
    if made is None or made.recipe != recipe:
        print(f"making the upstream {recipe.name} …", file=sys.stderr, flush=True)
        shutil.rmtree(directory, ignore_errors=True)
        made = _Made(recipe=recipe, uploads=_fill(recipe, directory))
        stamp.write_bytes(msgspec.json.encode(made))
    return Upstream(recipe=recipe, directory=directory, uploads=made.uploads)


def _read(stamp: Path) -> _Made | None:
    """Return what was made, None when nothing was, or an older benchmark made it."""
    try:
        return msgspec.json.decode(stamp.read_bytes(), type=_Made)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _fill(recipe: Recipe, directory: Path) -> dict[str, list[Upload]]:
    for folder in ("_simple", "_legacy", "_xmlrpc"):
        (directory / folder).mkdir(parents=True)
    kept = {}
    for serial, uploads in _projects(recipe, directory):
        name = recipes.project(serial)
        _write(directory / "_simple" / f"{name}.json", pages.simple(recipe, serial, uploads))
        _write(directory / "_legacy" / f"{name}.json", pages.legacy(recipe, serial, uploads))
        if recipe.size:
            kept[name] = uploads
    _write(directory / "_simple" / "index.json", pages.root(recipe))
    for method, body in pages.xmlrpc_answers(recipe):
        _write(directory / "_xmlrpc" / f"{method}.xml", body)
    return kept


def warm(upstream: Upstream) -> None:
    """Read every file once, so that no peer waits for the upstream's disk."""
    for path in upstream.directory.rglob("*"):
        if path.is_file():
            with path.open("rb") as stream:
                while stream.read(2**20):
                    pass


def _write(path: Path, body: bytes) -> None:
    """Write `body` both plain and packed: PyPI's answers come packed, and no peer shall wait for the packing."""
    path.write_bytes(body)
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(body, 6, mtime=0))


def _projects(recipe: Recipe, directory: Path) -> Iterator[tuple[int, list[Upload]]]:
    noise = random.Random(recipe.projects)
    counts, sizes = _counts(recipe, noise), iter(_sizes(recipe, noise))
    number = 0
    for serial, count in zip(recipe.paged, counts, strict=True):
        uploads = []
        for version in range(count):
            wheel = (number + 1) * recipe.wheels // recipe.files != number * recipe.wheels // recipe.files
            content = noise.randbytes(next(sizes)) if recipe.size else noise.randbytes(_SMALLEST)
            metadata = noise.randbytes(_METADATA_SIZE // 2).hex().encode() if wheel else b""
            upload = _upload(serial, f"{version}.0", content, metadata)
            if recipe.size:
                _keep(directory / upload.path, content, metadata)
            uploads.append(upload)
            number += 1
        yield serial, uploads


def _upload(serial: int, version: str, content: bytes, metadata: bytes) -> Upload:
    name = recipes.project(serial).replace("-", "_")
    return Upload(
        version=version,
        filename=f"{name}-{version}-py3-none-any.whl" if metadata else f"{name}-{version}.tar.gz",
        place=hashlib.blake2b(content, digest_size=32).hexdigest(),
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        metadata_sha256=hashlib.sha256(metadata).hexdigest() if metadata else "",
        metadata_size=len(metadata),
    )


def _keep(path: Path, content: bytes, metadata: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    if metadata:
        path.with_name(f"{path.name}.metadata").write_bytes(metadata)


def _counts(recipe: Recipe, noise: random.Random) -> list[int]:
    """Return how many files each project has."""
    if recipe.even:
        return [recipe.files // recipe.projects] * recipe.projects
    weights = [noise.lognormvariate(0, 1.2) for _ in range(recipe.projects)]
    counts = [1] * recipe.projects
    for chosen in noise.choices(range(recipe.projects), weights, k=recipe.files - recipe.projects):
        counts[chosen] += 1
    return counts


def _sizes(recipe: Recipe, noise: random.Random) -> list[int]:
    """Return how large each file is: many small, few large, as much in all as the recipe says."""
    budget = max(recipe.size - recipe.wheels * _METADATA_SIZE - recipe.files * _SMALLEST, recipe.files)
    spread = 0.5 if recipe.files < recipe.projects * 4 else 1.0
    weights = [noise.lognormvariate(0, spread) for _ in range(recipe.files)]
    scale = budget / sum(weights)
    return [_SMALLEST + int(weight * scale) for weight in weights]


if __name__ == "__main__":
    for wanted in (recipes.SMALL, recipes.INDEX, recipes.LARGE, recipes.CHANGED, recipes.CHANGED_FEW, recipes.TLS):
        make(wanted)
