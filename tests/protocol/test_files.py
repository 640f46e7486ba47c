"""Files: lost, cut, replaced, oddly named or coded, and the order in which they become public.

The numbers are the rows of docs/protocol-cases.md.
"""

import hashlib
import os
from pathlib import Path

import pytest
from msgspec.structs import replace
from trio.testing import MockClock

from tests.protocol.kit import DAY, HOUR, Meanwhile, listed, reported, serves, tree, unmet
from tests.support.mirror import Mirror
from tests.support.pypi.exchange import Answer, Request
from tests.support.pypi.faults import (
    Ask,
    Fault,
    Gzip,
    IgnoreRange,
    MediaType,
    Portal,
    Reset,
    Status,
    Truncate,
    WrongBytes,
    WrongSize,
)
from tests.support.pypi.server import PyPI
from tests.support.pypi.site import NO_SUCH_FILE
from tests.support.pypi.world import World


def path_of(mirror: Mirror, filename: str) -> Path:
    (path,) = (mirror.web / "packages").glob(f"*/*/*/{filename}")
    return path


# case 19
async def test_returning_file_reuses_the_kept_object(mirror: Mirror, pypi: PyPI, world: World) -> None:
    await mirror.sync()
    world.quarantine("alpha")
    await mirror.sync()
    world.clear_quarantine("alpha")
    pypi.clear_requests()
    await mirror.sync()
    assert pypi.seen("/packages/") == []
    assert mirror.problems() == []


# case 19
async def test_kept_file_is_verified_before_a_page_names_it_again(mirror: Mirror, pypi: PyPI, world: World) -> None:
    await mirror.sync()
    world.quarantine_release("alpha", "1.0")
    await mirror.sync()
    rotten = path_of(mirror, "alpha-1.0.tar.gz")
    body = rotten.read_bytes()
    rotten.chmod(0o644)
    rotten.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
    world.clear_release_quarantine("alpha", "1.0")
    pypi.clear_requests()
    await mirror.sync()
    assert [request.path.rsplit("/", 1)[1] for request in pypi.seen("/packages/")] == ["alpha-1.0.tar.gz"]
    assert mirror.problems() == []


# case 20
async def test_file_name_with_other_bytes_is_reported(mirror: Mirror, world: World) -> None:
    await mirror.sync()
    old = world.file("alpha", "alpha-1.0.tar.gz")
    world.remove_file("alpha", "alpha-1.0.tar.gz")
    new = world.upload("alpha", "1.0", filename="alpha-1.0.tar.gz", content=b"other bytes")
    await mirror.sync()
    assert mirror.problems() == []
    assert (mirror.web / old.path).read_bytes() == old.content
    assert (mirror.web / new.path).read_bytes() == new.content
    assert [notice for notice in mirror.observer.notices if "alpha-1.0.tar.gz" in notice and new.sha256 in notice]
    mirror.clock.forward(2 * DAY)
    await mirror.sync()
    assert not (mirror.web / old.path).exists()
    assert mirror.problems() == []


# case 20
async def test_other_digest_for_a_stored_path_is_refused(mirror: Mirror, pypi: PyPI, world: World) -> None:
    await mirror.sync()
    before = tree(mirror.web)
    forged = b"forged"
    with world.lock:
        project = world.project("alpha")
        (number,) = (n for n, file in enumerate(project.files) if file.filename == "alpha-1.0.tar.gz")
        project.files[number] = replace(
            project.files[number], content=forged, sha256=hashlib.sha256(forged).hexdigest()
        )
        world.objects[project.files[number].path] = forged
    world.add_role("alpha")
    pypi.clear_requests()
    totals = await mirror.sync()
    assert totals.errors == 1
    assert "attack" in reported(mirror)
    assert tree(mirror.web) == before


# case 22
@pytest.mark.parametrize("code", [403, 404])
async def test_file_missing_for_hours_is_retried_and_delays_nothing_else(
    code: int, mirror: Mirror, pypi: PyPI, world: World
) -> None:
    await mirror.sync()
    synced = world.last_serial
    world.upload("alpha", "1.1")
    world.upload("beta", "1.1")
    pypi.faults.add(r"alpha-1\.1.*\.whl$", Status(code, body=NO_SUCH_FILE.body, media_type=NO_SUCH_FILE.media_type))
    for _ in range(4):
        await mirror.sync()
        mirror.clock.forward(3 * HOUR)
    assert mirror.page("alpha")["versions"] == ["1.0"]
    assert mirror.page("beta")["versions"] == ["1.0", "1.1"]
    assert unmet(mirror) == ["alpha"]
    assert mirror.status()["synced_serial"] == synced
    world.upload("gamma", "1.1")
    await mirror.sync()
    assert mirror.page("gamma")["versions"] == ["1.0", "1.1"]
    pypi.faults.clear()
    mirror.clock.forward(3 * HOUR)
    await mirror.sync()
    assert mirror.problems() == []
    assert mirror.status()["synced_serial"] == world.last_serial


BAD_BODIES: dict[str, tuple[Fault, ...]] = {
    "the last byte is wrong": (WrongBytes(),),
    "a byte too many": (WrongSize(1),),
    "a byte too few": (WrongSize(-1),),
    "empty": (WrongSize(-(10**9)),),
    "always cut": (Truncate(100),),
    "always reset": (Reset(100),),
    "a log-in page": (Portal(),),
}


# case 23
@pytest.mark.parametrize("kind", BAD_BODIES)
async def test_body_with_a_wrong_digest_is_never_public(
    kind: str, mirror: Mirror, pypi: PyPI, world: World, hurried: MockClock
) -> None:
    del hurried
    await mirror.sync()
    before = tree(mirror.web)
    world.upload("alpha", "1.1", kind="sdist", body=bytes(range(256)) * 40)
    pypi.faults.add(r"alpha-1\.1\.tar\.gz$", IgnoreRange(), *BAD_BODIES[kind])
    totals = await mirror.sync()
    assert totals.errors == 1
    assert tree(mirror.web) == before
    assert not [path for path in (mirror.directory / "staging").rglob("*") if path.is_file()]
    pypi.faults.clear()
    mirror.clock.forward(HOUR)
    await mirror.sync()
    assert mirror.problems() == []
    assert mirror.status()["synced_serial"] == world.last_serial


# case 23
async def test_interrupted_body_resumes_or_restarts_without_ranges(
    mirror: Mirror, pypi: PyPI, world: World, hurried: MockClock
) -> None:
    del hurried
    world.upload("alpha", "1.1", kind="sdist", body=os.urandom(400_000))
    world.upload("beta", "1.1", kind="sdist", body=os.urandom(400_000))
    pypi.faults.add(r"alpha-1\.1\.tar\.gz$", Truncate(300), times=2)
    pypi.faults.add(r"beta-1\.1\.tar\.gz$", IgnoreRange(), Reset(300), times=2)
    totals = await mirror.sync()
    assert totals.errors == 0
    assert mirror.problems() == []
    assert [request.headers.get("range") for request in pypi.seen(r"alpha-1\.1\.tar")][:2] == [None, "bytes=300-"]


# case 25
async def test_files_are_requested_without_a_coding(mirror: Mirror, pypi: PyPI) -> None:
    await mirror.sync()
    assert {request.headers["accept-encoding"] for request in pypi.seen("/packages/")} == {"identity"}


class CalledGzip(Fault, frozen=True):
    """The right bytes, which an intermediary labels as gzip because their name ends in .gz."""

    def apply(self, answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        return replace(answer, headers=(*answer.headers, ("Content-Encoding", "gzip")))


# case 25
async def test_archive_only_labelled_as_gzip_is_stored_unchanged(mirror: Mirror, pypi: PyPI, world: World) -> None:
    pypi.faults.add(r"\.tar\.gz$", CalledGzip(), MediaType("application/x-tar"))
    totals = await mirror.sync()
    assert totals.errors == 0
    assert mirror.problems() == []
    assert world.file("alpha", "alpha-1.0.tar.gz").content == path_of(mirror, "alpha-1.0.tar.gz").read_bytes()


# case 25
@pytest.mark.parametrize("pattern", [r"\.tar\.gz$", r"\.whl\.metadata$"], ids=["archives", "sidecars"])
async def test_coding_of_an_intermediary_is_decoded_once(pattern: str, mirror: Mirror, pypi: PyPI) -> None:
    pypi.faults.add(pattern, Gzip())
    await mirror.sync()
    assert unmet(mirror) == []
    assert mirror.problems() == []


ODD_NAMES = [
    "Alpha-1.1.TAR.GZ",
    "alpha 1.1 (final).zip",
    "alpha-1.1+local!x.tar.bz2",
    "alpha-1.1&amp;'quoted'.tgz",
    "alpha-1.1#fragment?query%20.zip",
    "alpha-1.1[x].tar.Z",
    "álfa-ünïcödé-日本-1.1.egg",
    "nothing-of-the-project.exe",
    "alpha-1.1\x01.rpm",
    ".hidden-1.1.zip",
    "-dash-1.1.deb",
    "~tilde;semi,comma=equals@at$.msi",
    "alpha-" + "3" * 234 + ".tar.gz",
    "ß" * 125 + ".zip",
]


# case 31
async def test_legacy_file_names_are_kept(mirror: Mirror, world: World) -> None:
    for number, name in enumerate(ODD_NAMES):
        world.upload("alpha", "1.1", filename=name, content=b"%d" % number)
    totals = await mirror.sync()
    assert totals.errors == 0
    assert mirror.problems() == []
    assert set(ODD_NAMES) <= mirror.stored()


# case 31
async def test_file_name_too_long_for_a_sidecar_is_served_without_it(mirror: Mirror, world: World) -> None:
    name = "alpha-" + "1." * 110 + "0-py3-none-any.whl"
    assert len(name) <= 249 < len(name + ".metadata") + 8
    name = name.replace("-py3", "-py3." + "x" * (249 - len(name) - 1))
    world.upload("alpha", "1.1", filename=name, content=b"wheel", metadata=b"Metadata-Version: 2.1\n")
    totals = await mirror.sync()
    assert totals.errors == 0
    assert name in mirror.stored()
    (file,) = (file for file in mirror.page("alpha")["files"] if file["filename"] == name)
    assert file["core-metadata"] is False
    assert mirror.broken_links() == []


# case 31
async def test_file_names_that_differ_only_in_case_are_two_files(mirror: Mirror, world: World) -> None:
    world.upload("alpha", "1.1", filename="alpha-1.1.zip", content=b"small")
    world.upload("alpha", "1.1", filename="Alpha-1.1.zip", content=b"LARGE")
    await mirror.sync()
    assert mirror.problems() == []
    assert {"alpha-1.1.zip", "Alpha-1.1.zip"} <= mirror.stored()


# case 32
async def test_tree_is_complete_at_every_request_of_a_pass(mirror: Mirror, pypi: PyPI, world: World) -> None:
    seen: list[str] = []

    def look() -> None:
        seen.extend(mirror.broken_links())
        if (mirror.web / "simple" / "index.v1_json").exists():
            seen.extend(f"{name} is listed and has no page" for name in listed(mirror) if not serves(mirror, name))

    pypi.faults.add("", Meanwhile(look))
    world.upload("beta", "1.1", metadata=b"Metadata-Version: 1.0\n")
    await mirror.sync()
    world.upload("alpha", "1.1")
    world.upload("newcomer", "1.0")
    world.backfill_metadata("beta", "beta-1.1-py3-none-any.whl")
    world.add_role("beta")
    world.remove_file("gamma", "gamma-1.0.tar.gz")
    await mirror.sync()
    assert seen == []
    assert mirror.problems() == []


# case 32
async def test_files_become_public_before_their_page_and_pages_before_the_root(mirror: Mirror) -> None:
    await mirror.sync()

    def public_at(pattern: str) -> list[int]:
        return [path.stat().st_ctime_ns for path in mirror.web.glob(pattern)]  # a rename sets it

    for name in ("alpha", "beta", "gamma"):
        files = [at for suffix in ("*", "*.metadata") for at in public_at(f"packages/*/*/*/{name}-{suffix}")]
        assert max(files) <= min(public_at(f"simple/{name}/index.*"))
    assert max(public_at("simple/*/index.*")) <= min(public_at("simple/index.*"))


# case 38
async def test_later_provenance_changes_the_page_and_links_to_upstream(
    tmp_path: Path, pypi: PyPI, world: World
) -> None:
    mirror = Mirror(tmp_path / "mirror", pypi, audit={"period": "1d"})
    await mirror.sync()
    with world.lock:
        project = world.project("alpha")
        project.files[:] = [replace(file, provenance=True) for file in project.files]
        world.purge("alpha")
    mirror.clock.forward(DAY)
    await mirror.sync()
    assert mirror.problems() == []
    for file in mirror.page("alpha")["files"]:
        assert file["provenance"].startswith(f"{pypi.url}/integrity/alpha/")


# case 38
@pytest.mark.parametrize("code", [403, 404, 503])
async def test_missing_attestations_delay_nothing(code: int, mirror: Mirror, pypi: PyPI, world: World) -> None:
    pypi.faults.add("^/integrity/", Status(code))
    world.upload("alpha", "1.1", provenance=True)
    totals = await mirror.sync()
    assert totals.errors == 0
    assert mirror.problems() == []
