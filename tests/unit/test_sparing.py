"""Libraries are loaded without what they would take along, and everybody else has that as ever."""

import gc
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from mirrorsync.sparing import for_good, sparing

_TAKES_ALONG = """
try:
    import sparing_dear
except ImportError:
    sparing_dear = None
"""


@pytest.fixture(autouse=True)
def _libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A library, and a dear one that it takes along."""
    (tmp_path / "sparing_dear.py").write_text("price = 85\n")
    (tmp_path / "sparing_library.py").write_text(_TAKES_ALONG)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in ("sparing_dear", "sparing_library"):
        sys.modules.pop(name, None)


def load(name: str) -> ModuleType:
    return import_module(name)


def test_a_library_does_without_what_is_withheld_and_others_have_it_afterwards() -> None:
    with sparing(without=["sparing_dear"]):
        library = load("sparing_library")
    assert library.sparing_dear is None
    assert load("sparing_dear").price == 85


def test_what_is_promised_is_loaded_when_something_of_it_is_used() -> None:
    with sparing(later=["sparing_dear"]):
        library = load("sparing_library")
    assert "sparing_dear" not in sys.modules
    assert library.sparing_dear.price == 85
    assert "sparing_dear" in sys.modules
    with pytest.raises(AttributeError, match="colour"):
        _ = library.sparing_dear.colour


def test_what_somebody_has_loaded_before_stays_what_it_was() -> None:
    dear = load("sparing_dear")
    with sparing(without=["sparing_dear"]):
        pass
    with sparing(later=["sparing_dear"]):
        assert load("sparing_library").sparing_dear is dear
    assert load("sparing_dear") is dear


def test_a_failure_to_load_withholds_nothing_from_others() -> None:
    with pytest.raises(ImportError), sparing(without=["sparing_dear"]):
        load("sparing_dear")
    assert load("sparing_dear").price == 85


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_is_collected_after_loading_as_it_was_before(enabled: bool) -> None:  # noqa: FBT001 -- a parameter
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with for_good():
            assert not gc.isenabled()
        assert gc.isenabled() == enabled
    finally:
        gc.unfreeze()
        (gc.enable if before else gc.disable)()
