"""What is compared: which peers run against which upstream, from which start, and what they must have done."""

import hashlib
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final, Literal

import msgspec

from bench import ledgers, peers, recipes
from bench.measure import Command, Failed
from bench.peers import ROOT, Home
from bench.recipes import Recipe
from mirrorsync.app.mirror_directory import state_path

_SAMPLE: Final = 200
"""Files whose digest is checked after each run, and pages whose files are counted."""

Step = Callable[[Home], None]


def _nothing(_home: Home) -> None:
    """Start with an empty directory."""


class Contestant(msgspec.Struct, frozen=True):
    name: str
    recipe: Recipe
    command: Callable[[Home], Command]
    check: Step
    """Raises Failed unless the peer did its work."""
    prepare: Step = _nothing
    rival: bool = False
    checkout: Path = ROOT
    """The checkout whose mirrorsync this is."""


class Comparison(msgspec.Struct, frozen=True):
    """The ratio of two peers' times in the same round."""

    one: str
    other: str
    wanted: float | None
    """Its upper limit; None: it is only reported."""
    of: Literal["wall", "CPU"] = "wall"


class Workload(msgspec.Struct, frozen=True):
    key: str
    title: str
    contestants: tuple[Contestant, ...]
    comparisons: tuple[Comparison, ...]
    on_disk: bool = False
    """It measures a real disk."""
    against: float | None = None
    """Upper limit of the CPU ratio to another checkout; None: it is only reported."""


def check_files(home: Home, *, sidecars: bool = False) -> None:
    """Raises: Failed, unless every file exists with its size, and a sample of them has the right digests."""
    uploads = home.upstream.files
    for upload in uploads:
        path = home.web / upload.path
        if not path.is_file() or path.stat().st_size != upload.size:
            raise Failed(f"{path} is absent or has another size")
        if sidecars and upload.metadata_sha256:
            sidecar = path.with_name(f"{path.name}.metadata")
            if not sidecar.is_file() or sidecar.stat().st_size != upload.metadata_size:
                raise Failed(f"{sidecar} is absent or has another size")
    for upload in random.Random(len(uploads)).sample(uploads, min(_SAMPLE, len(uploads))):
        if hashlib.sha256((home.web / upload.path).read_bytes()).hexdigest() != upload.sha256:
            raise Failed(f"{upload.path} has another digest")


def check_pages(home: Home) -> None:
    """Raises: Failed, unless each project has a page that names its last file, and a sample names all files."""
    for serial in home.recipe.paged:
        name = recipes.project(serial)
        page = home.web / "simple" / name / "index.v1_json"
        if not page.is_file() or not (page.parent / "index.html").is_file():
            raise Failed(f"{page} is absent")
        newest = home.upstream.uploads[name][-1].filename if home.upstream.uploads else f'"{name}"'
        if newest not in page.read_text():
            raise Failed(f"{page} does not name {newest}")
    for serial in random.Random(home.recipe.projects).sample(home.recipe.paged, min(_SAMPLE, home.recipe.projects)):
        name = recipes.project(serial)
        page = home.web / "simple" / name / "index.v1_json"
        wanted = (home.upstream.directory / "_simple" / f"{name}.json").read_text().count('"filename"')
        if page.read_text().count('"filename"') != wanted:
            raise Failed(f"{page} does not name {wanted} files")
    for name in ("index.html", "index.v1_json"):
        if (home.web / "simple" / name).read_text().count("parcel-") < len(home.recipe.serials):
            raise Failed(f"the root index {name} names too few projects")


def check_ours(home: Home) -> None:
    check_files(home, sidecars=True)
    check_pages(home)
    check_ledger(home)


def check_theirs(home: Home) -> None:
    check_files(home)
    check_pages(home)
    check_status(home)


def check_our_index(home: Home) -> None:
    check_pages(home)
    check_ledger(home)


def check_their_index(home: Home) -> None:
    check_pages(home)
    check_status(home)


def check_ledger(home: Home) -> None:
    """Raises: Failed, unless mirrorsync published upstream's last serial and no project is outstanding."""
    with closing(sqlite3.connect(state_path(home.mirror))) as connection:
        row = connection.execute("SELECT published_serial FROM mirror").fetchone()
        if row[0] != home.recipe.last or not ledgers.is_complete(connection):
            raise Failed(f"mirrorsync published serial {row[0]} of {home.recipe.last}, or projects are outstanding")


def check_status(home: Home) -> None:
    """Raises: Failed, unless bandersnatch recorded upstream's last serial."""
    reached = (home.mirror / "status").read_text()
    if int(reached) != home.recipe.last:
        raise Failed(f"bandersnatch reached serial {reached} of {home.recipe.last}")


def workloads(fit: Callable[[Recipe], Recipe]) -> tuple[Workload, ...]:
    """Return all workloads, on the recipes that `fit` returns."""
    return (
        _small(fit(recipes.SMALL)),
        _index(fit(recipes.INDEX)),
        _new_key(fit(recipes.NEW_KEY), fit(recipes.INDEX)),
        _large(fit(recipes.LARGE)),
        _still(fit(recipes.CHANGED), fit(recipes.CHANGED_FEW)),
        _status(fit(recipes.CHANGED)),
        _changes(fit(recipes.CHANGED)),
        _line(fit(recipes.LINE)),
        _small(fit(recipes.TLS)),
        _durability(fit(recipes.SMALL)),
    )


def against(workload: Workload, checkout: Path) -> Workload:
    """Return the same workload with another checkout's mirrorsync in place of the rivals."""
    ours = [each for each in workload.contestants if not each.rival]
    theirs = [msgspec.structs.replace(each, name=f"{each.name}, before", checkout=checkout) for each in ours]
    return msgspec.structs.replace(
        workload,
        contestants=(*ours, *theirs),
        comparisons=tuple(
            Comparison(one.name, other.name, workload.against, of="CPU")
            for one, other in zip(ours, theirs, strict=True)
        ),
    )


def _small(recipe: Recipe) -> Workload:
    how = " over TLS" if recipe.tls else ""
    return Workload(
        key="tls" if recipe.tls else "small",
        title=f"first sync{how}: {recipe.projects:,} projects, {recipe.files:,} files, {recipe.wheels:,} sidecars,"
        f" {recipe.size / 1e6:,.0f} MB",
        contestants=(
            Contestant("mirrorsync", recipe, peers.mirrorsync, check_ours),
            Contestant("bandersnatch", recipe, peers.bandersnatch, check_theirs, rival=True),
        ),
        comparisons=(Comparison("mirrorsync", "bandersnatch", None if recipe.tls else 0.25),),
        against=1.03,
    )


def _line(recipe: Recipe) -> Workload:
    small = _small(recipe)
    return msgspec.structs.replace(
        small,
        key="line",
        title=f"{small.title}, {2000 * recipe.delay:.0f} ms round trip",
        comparisons=(Comparison("mirrorsync", "bandersnatch", 0.16),),
        against=None,
    )


def _index(recipe: Recipe) -> Workload:
    return Workload(
        key="index",
        title=f"first sync, index only: {recipe.projects:,} projects, "
        f"{recipe.files / recipe.projects:.0f} files on average",
        contestants=(
            Contestant("mirrorsync", recipe, partial(peers.mirrorsync, files=False), check_our_index),
            Contestant("bandersnatch", recipe, partial(peers.bandersnatch, files=False), check_their_index, rival=True),
        ),
        comparisons=(Comparison("mirrorsync", "bandersnatch", 0.12),),
    )


def _new_key(new: Recipe, plain: Recipe) -> Workload:
    def ours(recipe: Recipe, name: str) -> Contestant:
        return Contestant(name, recipe, partial(peers.mirrorsync, files=False), check_our_index)

    return Workload(
        key="index-new-key",
        title=f"first sync, index only, one unknown key in each page and file: {new.projects:,} projects",
        contestants=(ours(new, "mirrorsync, new key"), ours(plain, "mirrorsync")),
        comparisons=(Comparison("mirrorsync, new key", "mirrorsync", 1.05, of="CPU"),),
    )


def _large(recipe: Recipe) -> Workload:
    return Workload(
        key="large",
        title=f"first sync: {recipe.files} large files, {recipe.size / 1e9:.1f} GB",
        contestants=(
            Contestant("mirrorsync", recipe, peers.mirrorsync, check_ours),
            Contestant("bandersnatch", recipe, peers.bandersnatch, check_theirs, rival=True),
            Contestant("curl", recipe, peers.curl, check_files, rival=True),
        ),
        comparisons=(Comparison("mirrorsync", "bandersnatch", 0.65), Comparison("mirrorsync", "curl", 1.6)),
        against=1.03,
    )


def _still(many: Recipe, few: Recipe) -> Workload:
    def ours(recipe: Recipe, name: str) -> Contestant:
        return Contestant(name, recipe, peers.mirrorsync, check_ledger, ledgers.mirrorsync_complete)

    size, less = f"mirrorsync, {many.listed:,}", f"mirrorsync, {few.listed:,}"
    return Workload(
        key="still",
        title=f"nothing changed: {many.listed:,} projects, and {few.listed:,}",
        contestants=(
            ours(many, size),
            Contestant(
                "bandersnatch", many, peers.bandersnatch, check_status, ledgers.bandersnatch_complete, rival=True
            ),
            ours(few, less),
        ),
        comparisons=(Comparison(size, "bandersnatch", 1.0), Comparison(size, less, 1.2)),
    )


def _changes(recipe: Recipe) -> Workload:
    return Workload(
        key="changes",
        title=f"{recipe.projects} changes among {recipe.listed:,} projects",
        contestants=(
            Contestant("mirrorsync", recipe, peers.mirrorsync, check_ours, ledgers.mirrorsync_behind),
            Contestant(
                "bandersnatch", recipe, peers.bandersnatch, check_theirs, ledgers.bandersnatch_behind, rival=True
            ),
        ),
        comparisons=(Comparison("mirrorsync", "bandersnatch", 0.3),),
        against=1.03,
    )


def _status(recipe: Recipe) -> Workload:
    return Workload(
        key="status",
        title=f"`mirrorsync status`, {recipe.listed:,} projects",
        contestants=(Contestant("mirrorsync", recipe, peers.status, check_ledger, ledgers.mirrorsync_complete),),
        comparisons=(),
    )


def _durability(recipe: Recipe) -> Workload:
    return Workload(
        key="durability",
        title=f"what durability costs on a disk: {recipe.files:,} files, {recipe.size / 1e6:,.0f} MB",
        contestants=(
            Contestant("durable", recipe, peers.mirrorsync, check_ours),
            Contestant("not durable", recipe, peers.undurable, check_ours),
        ),
        comparisons=(Comparison("durable", "not durable", None),),
        on_disk=True,
    )
