"""Cases that other mirror programs are known to fail, played against real `mirrorsync` processes.

bench/rivals plays them against bandersnatch and shadowmire; docs/comparison.md has the table.
"""

from pathlib import Path

import pytest

from tests.field import everyday, rare
from tests.field.cases import Case, Scene
from tests.field.contender import Mirrorsync
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World


def _marked(case: Case) -> object:
    marks: list[pytest.MarkDecorator] = []
    if case.slow:
        marks.append(pytest.mark.slow)
    if case.fails_because:
        marks.append(pytest.mark.xfail(strict=True, reason=case.fails_because))
    return pytest.param(case, id=case.play.__name__.replace("_", "-"), marks=marks)


@pytest.mark.parametrize("case", [_marked(case) for case in (*everyday.CASES, *rare.CASES)])
def test_mirrorsync_handles_the_case(case: Case, tmp_path: Path, world: World, pypi: PyPI) -> None:
    problems = list(case.play(Scene(world=world, pypi=pypi, mirror=Mirrorsync(tmp_path / "home", pypi.url))))
    assert problems == []


def test_comparison_has_a_row_for_each_case() -> None:
    document = (Path(__file__).parents[2] / "docs" / "comparison.md").read_text()
    rows = [line.split("|")[1].strip() for line in document.splitlines() if line.startswith("| ")]
    assert [row for row in rows if row not in {"case", "**passed**"}] == [
        case.sentence for case in (*everyday.CASES, *rare.CASES)
    ]
