"""What a mirror carries of a page."""

from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.model.page import DistFile, Hashes, ProjectPage
from mirrorsync.select.content import apply


def wheel(filename: str, core_metadata: bytes | None = b"m" * 32) -> DistFile:
    url = f"https://files.test/{filename}"
    return DistFile(filename, b"p" * 32, url, 10, Hashes(b"s" * 32), core_metadata=core_metadata, yanked="x")


def page(*files: DistFile) -> ProjectPage:
    return ProjectPage(ProjectName("a"), Serial(3), status="archived", files=files, etag='"e"')


def test_storable_sidecars_stay_advertised() -> None:
    told = page(wheel("a.whl"), wheel("b.zip", None))
    assert apply(told, metadata=True) == told


def test_a_mirror_without_sidecars_advertises_none() -> None:
    told = page(wheel("a.whl"), wheel("b.zip", None))
    assert apply(told, metadata=False) == page(wheel("a.whl", None), wheel("b.zip", None))
    assert told == page(wheel("a.whl"), wheel("b.zip", None))


def test_a_sidecar_with_too_long_a_name_is_not_advertised() -> None:
    fits, too_long, accented = "x" * 242 + ".whl", "x" * 243 + ".whl", "ö" * 122 + ".whl"
    got = apply(page(wheel(fits), wheel(too_long), wheel(accented)), metadata=True)
    assert [file.core_metadata is not None for file in got.files] == [True, False, False]


def test_other_files_are_not_copied() -> None:
    kept = wheel("a.whl")
    assert apply(page(kept, wheel("x" * 249 + ".whl")), metadata=True).files[0] is kept
