"""Every test that docs/invariants.md or a sabotage names exists, and every sabotage is documented."""

import re
import subprocess
import sys
from pathlib import Path

from tests.sabotage.sabotages import SABOTAGES

_ROOT = Path(__file__).resolve().parents[2]
_TABLES = (_ROOT / "docs" / "invariants.md").read_text(encoding="utf-8")
_NODE = re.compile(r"`(tests/[\w/]+\.py::[\w:]+)`")


def test_every_invariant_names_a_test() -> None:
    sections = dict(re.findall(r"^## (I\d)\n(.*?)(?=^## )", _TABLES, re.MULTILINE | re.DOTALL))
    assert sorted(sections) == [f"I{number}" for number in range(1, 9)]
    assert [name for name, section in sections.items() if not _NODE.search(section)] == []


def test_every_named_test_exists() -> None:
    named = {*_NODE.findall(_TABLES), *(node for sabotage in SABOTAGES.values() for node in sabotage.caught_by)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "-q", *sorted(named)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_sabotage_is_documented() -> None:
    documented = set(re.findall(r"^\| ([^|`]+) \| I\d", _TABLES, re.MULTILINE))
    assert documented == set(SABOTAGES)
