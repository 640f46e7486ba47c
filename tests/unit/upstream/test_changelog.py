from typing import Any

import pytest

from mirrorsync.errors import Malformed
from mirrorsync.model.change import Change, ChangeBatch
from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.upstream.pypi import to_batch, to_serial

Row = list[Any]


def batch_of(*rows: Row, since: int = 0) -> ChangeBatch:
    batch = to_batch(list(rows), since=Serial(since), what="call")
    assert batch is not None
    return batch


def row(action: str | None, *, version: str | None = None, name: str | None = "Holy_Grail", serial: int = 5) -> Row:
    return [name, version, 1_700_000_000, action, serial]


def change_of(action: str | None, *, version: str | None = None) -> Change:
    (change,) = batch_of(row(action, version=version)).changes
    return change


def test_a_row_becomes_a_change_of_the_normalised_name() -> None:
    expected = Change(name=ProjectName("holy-grail"), display_name="Holy_Grail", serial=Serial(5))
    assert change_of("new release", version="1.0") == expected


@pytest.mark.parametrize(
    "action",
    [
        "add Owner arthur",
        "add Maintainer some team",
        "remove Owner galahad",
        "change Maintainer galahad to Owner",
        "accepted Maintainer galahad",
        "invite Maintainer galahad",
        "revoke_invite Owner lancelot",
    ],
)
def test_role_row_raises_the_serial_and_touches_no_page(action: str) -> None:
    change = change_of(action)
    assert not change.touches_page
    assert not change.removes_project


@pytest.mark.parametrize(
    ("action", "version"),
    [
        ("add py3 file x-1.0-py3-none-any.whl", "1.0"),
        ("add Owner file x-1.0.tar.gz", "1.0"),
        ("add Owner file x-1.0.tar.gz", None),
        ("remove file x-1.0.tar.gz", "1.0"),
        ("remove release", "1.0"),
        ("remove", "1.0"),
        ("remove", ""),
        ("yank release", "1.0"),
        ("project quarantined", None),
        ("rename from old", None),
        ("add Emperor arthur", None),
        ("something new", None),
        ("", None),
        (None, None),
    ],
)
def test_any_other_action_touches_the_page_and_removes_nothing(action: str | None, version: str | None) -> None:
    change = change_of(action, version=version)
    assert change.touches_page
    assert not change.removes_project


@pytest.mark.parametrize("action", ["remove project", "remove"])
def test_removal_is_marked(action: str) -> None:
    assert change_of(action).removes_project


def test_later_row_of_a_recreated_project_is_no_removal() -> None:
    batch = batch_of(row("remove project", serial=1), row("create", serial=2))
    assert [change.removes_project for change in batch.changes] == [True, False]


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("", "keyrotate "),
        (None, "keyrotate "),
        ("user:spammer", "nuke user"),
        ("a-label", "add alternate repository a-label to project holy"),
        ("a-label", "deleted alternate repository a-label from project holy"),
        ("../../etc", "create"),
        ("naïve", "create"),
        ("-", "create"),
    ],
)
def test_row_without_a_project_only_moves_the_cursor(name: str | None, action: str) -> None:
    assert batch_of(row(action, name=name, serial=9)) == ChangeBatch(upto=Serial(9), changes=())


def test_gaps_are_normal_and_no_rows_are_no_batch() -> None:
    assert batch_of(row("create", serial=7), row("create", serial=70), since=3).upto == 70
    assert to_batch([], since=Serial(3), what="call") is None


@pytest.mark.parametrize(
    "rows",
    [
        None,
        5,
        {"a": 1},
        [5],
        [["a", "1", 1, "create"]],
        [["a", "1", 1, "create", "5"]],
        [["a", "1", 1, "create", True]],
        [["a", "1", 1, "create", 2**63]],
        [["a", 1.0, 1, "create", 5]],
        [[5, "1", 1, "create", 5]],
        [["a", "1", 1, ["create"], 5]],
        [["a", "1", 1, "create", 5], ["a", "1", 1, "create", 5]],
        [["a", "1", 1, "create", 6], ["a", "1", 1, "create", 5]],
        [["a", "1", 1, "create", 3]],
    ],
)
def test_rows_that_do_not_ascend_are_malformed(rows: Any) -> None:
    with pytest.raises(Malformed):
        to_batch(rows, since=Serial(3), what="call")


@pytest.mark.parametrize("value", [-1, True, "5", None, 2**63, 1.5])
def test_invalid_serial_is_malformed(value: Any) -> None:
    with pytest.raises(Malformed):
        to_serial(value, what="call")
