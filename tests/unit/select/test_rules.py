"""Which projects a mirror carries."""

from mirrorsync.model.identity import ProjectName
from mirrorsync.select.rules import Selection

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
