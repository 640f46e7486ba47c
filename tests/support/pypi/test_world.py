import pytest

from tests.support.pypi.values import Page
from tests.support.pypi.world import World


def _page(world: World, name: str) -> Page:
    page = world.page(name)
    assert page is not None
    return page


def _actions(world: World) -> list[tuple[str | None, str | None, str]]:
    return [(row.name, row.version, row.action) for row in world.rows_since(0, 100)]


def test_first_upload_writes_four_rows_and_the_page_has_the_last_serial(world: World) -> None:
    world.upload("Holy_Grail", "1.0")
    assert _actions(world) == [
        ("Holy_Grail", None, "create"),
        ("Holy_Grail", None, "add Owner arthur"),
        ("Holy_Grail", "1.0", "new release"),
        ("Holy_Grail", "1.0", "add py3 file holy_grail-1.0-py3-none-any.whl"),
    ]
    assert _page(world, "holy-grail").serial == world.last_serial == 4


def test_skipped_serials_leave_a_gap_and_do_not_move_the_last_serial(world: World) -> None:
    world.create("a")
    world.skip_serials(10)
    assert world.last_serial == 2
    world.add_role("a")
    assert [row.serial for row in world.rows_since(0, 100)] == [1, 2, 13]


def test_upload_in_another_spelling_renames_the_project_without_a_row(world: World) -> None:
    world.upload("holy_grail", "1.0")
    world.upload("Holy.Grail", "2.0")
    assert _page(world, "HOLY-GRAIL").display_name == "Holy.Grail"
    assert world.rows_since(4, 100)[0].name == "Holy.Grail"


def test_archiving_and_back_filling_change_the_page_and_not_the_serial(world: World) -> None:
    file = world.upload("a", "1.0", metadata=None)
    before = _page(world, "a")
    world.archive("a")
    world.backfill_metadata("a", file.filename)
    after = _page(world, "a")
    assert (after.serial, after.status, after.files[0].metadata is None) == (before.serial, "archived", False)
    assert f"{file.path}.metadata" in world.objects


def test_invitation_changes_the_serial_and_not_the_cached_page(world: World) -> None:
    world.upload("a", "1.0")
    world.invite("a")
    assert (world.listing()[0].serial, _page(world, "a").serial) == (5, 4)
    world.purge("a")
    assert _page(world, "a").serial == 5


def test_quarantined_project_has_an_empty_page_and_no_root_entry(world: World) -> None:
    world.upload("a", "1.0")
    world.quarantine("a")
    page = _page(world, "a")
    assert (page.status, page.files, page.versions, world.listing()) == ("quarantined", (), (), ())
    assert [listed.name for listed in world.listing(with_quarantined=True)] == ["a"]
    world.clear_quarantine("a")
    assert [file.version for file in _page(world, "a").files] == ["1.0"]


def test_quarantined_release_hides_only_its_files(world: World) -> None:
    world.upload("a", "1.0")
    world.upload("a", "2.0")
    world.quarantine_release("a", "1.0")
    assert (_page(world, "a").versions, _page(world, "a").status) == (("2.0",), "active")
    world.clear_release_quarantine("a", "1.0")
    assert _page(world, "a").versions == ("1.0", "2.0")


def test_deleted_project_leaves_its_objects_and_starts_empty_again(world: World) -> None:
    file = world.upload("a", "1.0")
    world.remove_project("a")
    assert world.page("a") is None
    assert file.path in world.objects
    world.create("A")
    assert _page(world, "a").files == ()


def test_administrator_recreates_a_project_without_a_row(world: World) -> None:
    world.create("a")
    world.remove_project("a")
    world.recreate_by_admin("a")
    assert (_page(world, "a").serial, world.last_serial) == (0, 3)


def test_rename_rewrites_old_rows_and_adds_one_with_the_new_name(world: World) -> None:
    world.upload("old", "1.0")
    world.rename("old", "new")
    assert {row.name for row in world.rows_since(0, 100)} == {"new"}
    assert world.rows_since(4, 100)[0].action == "rename from old"
    assert world.page("old") is None
    assert _page(world, "new").files


def test_yanking_marks_all_files_of_the_release_and_later_uploads_to_it(world: World) -> None:
    world.upload("a", "1.0")
    world.yank("a", "1.0", "broken")
    world.upload("a", "1.0", kind="sdist")
    assert [file.yanked for file in _page(world, "a").files] == ["broken", "broken"]
    world.unyank("a", "1.0")
    assert [file.yanked for file in _page(world, "a").files] == [False, False]


def test_files_are_ordered_by_version_then_name_invalid_versions_first(world: World) -> None:
    for version in ("10.0", "9.0", "foo bar", "1.0.0", "1.0"):
        world.upload("a", version, filename=f"a-{version}.zip", content=version.encode())
    assert [file.version for file in _page(world, "a").files] == ["foo bar", "1.0.0", "1.0", "9.0", "10.0"]


def test_earlier_pages_are_available_for_any_serial(world: World) -> None:
    world.upload("a", "1.0")
    world.upload("a", "2.0")
    world.remove_project("a")
    before_removal = world.page_before("a", 7)
    before_second = world.page_before("a", 5)
    assert before_removal is not None
    assert before_second is not None
    assert (before_removal.versions, before_second.versions) == (("1.0", "2.0"), ("1.0",))
    assert world.page_before("a", 1) is None
    assert world.page_before("a", None) == before_removal


def test_rows_without_a_project_change_only_the_last_serial(world: World) -> None:
    world.create("a")
    world.journal_row("", "keyrotate ", "")
    world.journal_row("user:x", "nuke user")
    world.journal_row(None, "docupdate")
    assert (world.last_serial, _page(world, "a").serial) == (5, 2)


def test_file_name_cannot_be_used_twice(world: World) -> None:
    world.upload("a", "1.0")
    with pytest.raises(ValueError, match="exists"):
        world.upload("a", "1.0")
