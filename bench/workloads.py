"""What is compared: who runs against which upstream, from which start, and what must stand afterwards."""

import hashlib
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Final

import msgspec

from bench import ledgers, peers, recipes
from bench.measure import Command, Failed
from bench.peers import Home
from bench.recipes import Recipe
from mirrorsync.app.wiring import state_path

_SAMPLE: Final = 200
"""Files whose digest is looked at after each run."""

Step = Callable[[Home], None]


def _nothing(_home: Home) -> None:
    """Begin with an empty directory."""


class Contestant(msgspec.Struct, frozen=True):
    name: str
    recipe: Recipe
    command: Callable[[Home], Command]
    check: Step
    """Raises Failed unless the work was done."""
    prepare: Step = _nothing
    rival: bool = False


class Comparison(msgspec.Struct, frozen=True):
    """The ratio of the two's wall times in the same round."""

    one: str
    other: str
    wanted: float | None
    """At most; None: it is reported."""


class Workload(msgspec.Struct, frozen=True):
    key: str
    title: str
    contestants: tuple[Contestant, ...]
    comparisons: tuple[Comparison, ...]
    on_disk: bool = False
    """It is about a real disk."""


def check_files(home: Home, *, sidecars: bool = False) -> None:
    """Raises: Failed, unless every file is there, as large as it should be, and a sample of them digests right."""
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
    """Raises: Failed, unless each project with a page upstream has one here, which names its last file."""
    for serial in home.recipe.paged:
        name = recipes.project(serial)
        page = home.web / "simple" / name / "index.v1_json"
        if not page.is_file() or not (page.parent / "index.html").is_file():
            raise Failed(f"{page} is absent")
        newest = home.upstream.uploads[name][-1].filename if home.upstream.uploads else f'"{name}"'
        if newest not in page.read_text():
            raise Failed(f"{page} does not name {newest}")
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
    """Raises: Failed, unless mirrorsync claims upstream's last serial and owes nothing."""
    with closing(sqlite3.connect(state_path(home.mirror))) as connection:
        row = connection.execute("SELECT published_serial FROM mirror").fetchone()
        if row[0] != home.recipe.last or not ledgers.is_known(connection):
            raise Failed(f"mirrorsync published serial {row[0]} of {home.recipe.last}, or owes projects")


def check_status(home: Home) -> None:
    """Raises: Failed, unless bandersnatch claims upstream's last serial."""
    said = (home.mirror / "status").read_text()
    if int(said) != home.recipe.last:
        raise Failed(f"bandersnatch reached serial {said} of {home.recipe.last}")


def workloads(fit: Callable[[Recipe], Recipe]) -> tuple[Workload, ...]:
    """Return all workloads, on the recipes as `fit` makes them."""
    return (
        _small(fit(recipes.SMALL)),
        _index(fit(recipes.INDEX)),
        _large(fit(recipes.LARGE)),
        _still(fit(recipes.CHANGED), fit(recipes.CHANGED_FEW)),
        _changes(fit(recipes.CHANGED)),
        _small(fit(recipes.TLS)),
        _durability(fit(recipes.SMALL)),
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
    )


def _index(recipe: Recipe) -> Workload:
    return Workload(
        key="index",
        title=f"first sync, index only: {recipe.projects:,} projects, {recipe.files / recipe.projects:.0f} files each",
        contestants=(
            Contestant("mirrorsync", recipe, partial(peers.mirrorsync, files=False), check_our_index),
            Contestant("bandersnatch", recipe, partial(peers.bandersnatch, files=False), check_their_index, rival=True),
        ),
        comparisons=(Comparison("mirrorsync", "bandersnatch", 0.12),),
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
