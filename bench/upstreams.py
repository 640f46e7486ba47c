"""Upstreams as static trees that nginx serves; each is made once.

.venv/bin/python -m bench.upstreams        make all of them now; bench.run otherwise makes those that it needs
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

from bench import pages, recipes, varied
from bench.pages import Upload
from bench.recipes import Recipe

_METADATA_SIZE: Final = 1_200
"""Bytes; the median of PyPI's sidecars is somewhat larger."""
_SMALLEST: Final = 300
"""Bytes of the smallest file."""


WORK: Final = Path(__file__).parent / "work"
"""What the benchmark makes and keeps; git ignores it."""
_GENERATORS: Final = (Path(__file__), Path(pages.__file__), Path(varied.__file__))


class _Made(msgspec.Struct, frozen=True):
    """The contents of `made.json`."""

    recipe: Recipe
    generators: str
    """A digest of the code that made it."""
    uploads: dict[str, list[Upload]]


class Upstream(msgspec.Struct, frozen=True):
    recipe: Recipe
    directory: Path
    """What nginx serves."""
    uploads: Mapping[str, Sequence[Upload]]
    """By project, in the order of upload; empty where only the index exists."""

    @property
    def files(self) -> list[Upload]:
        return [upload for uploads in self.uploads.values() for upload in uploads]


def make(recipe: Recipe, work: Path = WORK) -> Upstream:
    """Return the upstream of `recipe` below `work`. Make it when it is absent or was made by other code or recipe."""
    directory = work / "upstreams" / recipe.name
    stamp = directory / "made.json"
    generators = hashlib.sha256(b"".join(path.read_bytes() for path in _GENERATORS)).hexdigest()
    made = _read(stamp)
    if made is None or (made.recipe, made.generators) != (recipe, generators):
        print(f"making the upstream {recipe.name} …", file=sys.stderr, flush=True)
        shutil.rmtree(directory, ignore_errors=True)
        made = _Made(recipe=recipe, generators=generators, uploads=_fill(recipe, directory))
        stamp.write_bytes(msgspec.json.encode(made))
    return Upstream(recipe=recipe, directory=directory, uploads=made.uploads)


def _read(stamp: Path) -> _Made | None:
    """Return the stamp; None when there is none or an older benchmark wrote it."""
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
    for method, body in pages.xmlrpc_responses(recipe):
        _write(directory / "_xmlrpc" / f"{method}.xml", body)
    return kept


def warm(upstream: Upstream) -> None:
    """Read every file once, so that the page cache holds the whole upstream."""
    for path in upstream.directory.rglob("*"):
        if path.is_file():
            with path.open("rb") as stream:
                while stream.read(2**20):
                    pass


def _write(path: Path, body: bytes) -> None:
    """Write `body` both plain and gzipped: PyPI serves it gzipped, and nginx must not spend time on that."""
    path.write_bytes(body)
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(body, 6, mtime=0))


def _projects(recipe: Recipe, directory: Path) -> Iterator[tuple[int, list[Upload]]]:
    noise = random.Random(recipe.projects)
    numbers = counts(recipe)
    if recipe.varied:
        for serial, count in zip(recipe.paged, numbers, strict=True):
            yield serial, varied.uploads(serial, count, noise)
        return
    sizes, number = iter(_sizes(recipe, noise)), 0
    for serial, count in zip(recipe.paged, numbers, strict=True):
        uploads = []
        for version in range(count):
            wheel = (number + 1) * recipe.wheels // recipe.files != number * recipe.wheels // recipe.files
            content = noise.randbytes(next(sizes))
            metadata = noise.randbytes(_METADATA_SIZE // 2).hex().encode() if wheel else b""
            upload = _upload(serial, f"{version}.0", content, metadata)
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


def counts(recipe: Recipe) -> list[int]:
    """Return the number of files of each project; the numbers are log-normal where the recipe is not even."""
    if recipe.even:
        return [recipe.files // recipe.projects] * recipe.projects
    noise = random.Random(recipe.projects)
    weights = [noise.lognormvariate(0, 1.2) for _ in range(recipe.projects)]
    found = [1] * recipe.projects
    for chosen in noise.choices(range(recipe.projects), weights, k=recipe.files - recipe.projects):
        found[chosen] += 1
    return found


def _sizes(recipe: Recipe, noise: random.Random) -> list[int]:
    """Return the size of each file: many small, few large, in all as many bytes as the recipe says."""
    budget = max(recipe.size - recipe.wheels * _METADATA_SIZE - recipe.files * _SMALLEST, recipe.files)
    spread = 0.5 if recipe.files < recipe.projects * 4 else 1.0
    weights = [noise.lognormvariate(0, spread) for _ in range(recipe.files)]
    scale = budget / sum(weights)
    return [_SMALLEST + int(weight * scale) for weight in weights]


if __name__ == "__main__":
    for wanted in recipes.ALL:
        make(wanted)
