"""Selection of projects, and sidecars in their pages."""

from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.model.page import DistFile, Hashes, ProjectPage
from mirrorsync.select.rules import Selection, without_unstored_sidecars

A, B = ProjectName("a"), ProjectName("b")


def test_without_names_every_project_is_selected() -> None:
    assert Selection().selects(A)
    assert not Selection().names_only


def test_with_names_no_other_project_is_selected() -> None:
    selection = Selection(projects=frozenset({A}))
    assert selection.selects(A)
    assert not selection.selects(B)
    assert selection.names_only


def test_an_excluded_project_is_not_selected_even_if_named() -> None:
    selection = Selection(projects=frozenset({A, B}), exclude=frozenset({A}))
    assert not selection.selects(A)
    assert selection.selects(B)
    assert not Selection(exclude=frozenset({A})).selects(A)


def test_excluding_every_name_does_not_select_everything() -> None:
    selection = Selection(projects=frozenset({A}), exclude=frozenset({A}))
    assert selection.names_only
    assert not selection.selects(B)


def test_a_fingerprint_does_not_depend_on_process_or_order() -> None:
    exclude = frozenset({ProjectName("z")})
    for names in ("abc", "cab"):
        selection = Selection(projects=frozenset(map(ProjectName, names)), exclude=exclude)
        assert selection.fingerprint() == "c9763ffa6b2eb807144c6de2efcd1c52f81eb7921e2b93619529fa2c25f0347d"


def test_different_rules_have_different_fingerprints() -> None:
    selections = (
        Selection(),
        Selection(projects=frozenset({A})),
        Selection(exclude=frozenset({A})),
        Selection(projects=frozenset({A, B})),
        Selection(projects=frozenset({ProjectName("a-b")})),
    )
    assert len({selection.fingerprint() for selection in selections}) == len(selections)


def wheel(filename: str, core_metadata: bytes | None = b"m" * 32) -> DistFile:
    url = f"https://files.test/{filename}"
    return DistFile(filename, b"p" * 32, url, 10, Hashes(b"s" * 32), core_metadata=core_metadata, yanked="x")


def page(*files: DistFile) -> ProjectPage:
    return ProjectPage(ProjectName("a"), Serial(3), status="archived", files=files, etag='"e"')


def test_storable_sidecars_stay_advertised() -> None:
    original = page(wheel("a.whl"), wheel("b.zip", None))
    assert without_unstored_sidecars(original, metadata=True) == original


def test_a_mirror_without_sidecars_advertises_none() -> None:
    original = page(wheel("a.whl"), wheel("b.zip", None))
    assert without_unstored_sidecars(original, metadata=False) == page(wheel("a.whl", None), wheel("b.zip", None))
    assert original == page(wheel("a.whl"), wheel("b.zip", None))


def test_a_sidecar_with_too_long_a_name_is_not_advertised() -> None:
    fits, too_long, accented = "x" * 242 + ".whl", "x" * 243 + ".whl", "ö" * 122 + ".whl"
    got = without_unstored_sidecars(page(wheel(fits), wheel(too_long), wheel(accented)), metadata=True)
    assert [file.core_metadata is not None for file in got.files] == [True, False, False]


def test_other_files_are_not_copied() -> None:
    kept = wheel("a.whl")
    assert without_unstored_sidecars(page(kept, wheel("x" * 249 + ".whl")), metadata=True).files[0] is kept
