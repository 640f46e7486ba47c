"""docs/protocol-cases.md names the tests of each case completely and correctly."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CASES = range(1, 41)


def table() -> dict[int, set[str]]:
    """Return the tests that the document names, by case."""
    text = (ROOT / "docs" / "protocol-cases.md").read_text()
    return {
        int(match[1]): set(re.findall(r"`(tests/[\w/]+\.py::test_\w+)`", match[2]))
        for match in re.finditer(r"^\| (\d+) \|(.*)$", text, re.MULTILINE)
    }


def marked() -> dict[int, set[str]]:
    """Return the tests of this folder by the cases in the comment above them."""
    found: dict[int, set[str]] = {}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        for number, name in _marked_in(path.read_text()):
            found.setdefault(number, set()).add(f"tests/protocol/{path.name}::{name}")
    return found


def _marked_in(text: str) -> list[tuple[int, str]]:
    lines = text.splitlines()
    pairs = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_"):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            numbers = re.findall(r"case (\d+)", lines[first - 2]) if lines[first - 2].startswith("# case") else ["0"]
            pairs += [(int(number), node.name) for number in numbers]
    return pairs


def names_in(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_protocol_case_has_a_test() -> None:
    assert list(table()) == list(CASES)
    assert [number for number, tests in table().items() if not tests] == []


def test_every_test_named_in_the_table_exists() -> None:
    named = {test for tests in table().values() for test in tests}
    files = {test.partition("::")[0] for test in named}
    existing = {f"{file}::{name}" for file in files for name in names_in(ROOT / file)}
    assert sorted(named - existing) == []


def test_the_table_matches_the_comments_above_the_tests() -> None:
    named = {
        number: {test for test in tests if test.startswith("tests/protocol/")} for number, tests in table().items()
    }
    assert {number: tests for number, tests in named.items() if tests} == marked()
