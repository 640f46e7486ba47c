"""The house's own rules, about the files of this checkout."""

import ast
import re
import statistics
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
from pip._internal.models.index import PyPI, TestPyPI

import mirrorsync

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
MODULES = [path for folder in ("src", "tests", "bench") for path in sorted((ROOT / folder).rglob("*.py"))]
RECORDS = sorted((ROOT / "docs" / "adr").glob("*.md"))

LONGEST_MODULE = 300
LONGEST_TESTS = 450
"""A module of tests is a list of sentences or of cases: it is read by looking one up."""
LONGEST_FUNCTION = 40
LONGEST_TEST_NAME = 70
MEDIAN_MODULE = 120

REGISTRIES = {host for index in (PyPI, TestPyPI) for host in (index.netloc, index.file_storage_domain)}
# A path below a home or a workspace, and not the tail of a longer one: "bench/work/" is ours.
MACHINE_PATH = re.compile(r"(?<![\w.\-/}>*])/(?:work|root|home|Users)(?![\w.\-])")


def place(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """What each file says that git tracks or would track; files that are no text are left out."""
    command = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files", "-coz", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"git cannot say which files are the project's: {error}")
    paths = (ROOT / name for name in listed.stdout.decode().split("\0") if name)
    return dict(readable(path for path in paths if path.is_file()))


def readable(paths: Iterator[Path]) -> Iterator[tuple[str, str]]:
    for path in paths:
        try:
            yield place(path), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


SUPPRESSION = re.compile(
    r"# *(?:noqa|type: ignore|pragma: no (?:cover|branch))(?:\[[\w, -]*\]|: *[A-Z]+[0-9]+(?:, *[A-Z]+[0-9]+)*)?"
)


def test_no_file_names_the_host_of_a_public_registry(texts: dict[str, str]) -> None:
    naming = {name: host for name, text in texts.items() for host in REGISTRIES if host in text.lower()}
    assert naming == {}


def test_no_file_names_a_path_of_somebodys_machine(texts: dict[str, str]) -> None:
    found = {name: match.group() for name, text in texts.items() if (match := MACHINE_PATH.search(text))}
    assert found == {}
    assert [name for name, text in texts.items() if len(ROOT.parts) > 2 and str(ROOT) in text] == []


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    def limit(path: Path) -> int:
        return LONGEST_TESTS if path.is_relative_to(ROOT / "tests") else LONGEST_MODULE

    assert {place(path): lines(path) for path in MODULES if lines(path) > limit(path)} == {}


def test_names_of_tests_are_short() -> None:
    names = [
        name for path in MODULES for name in re.findall(r"^ *(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    ]
    assert len(names) > 1000
    assert [name for name in names if len(name) > LONGEST_TEST_NAME] == []


def test_half_of_the_modules_are_short() -> None:
    assert statistics.median(lines(path) for path in SOURCES) <= MEDIAN_MODULE


def test_a_public_class_name_means_one_thing() -> None:
    places: dict[str, list[str]] = {}
    for path in SOURCES:
        for node in ast.parse(path.read_bytes()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(place(path))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    long = {
        f"{place(path)}:{function.lineno} {function.name}": length
        for path in MODULES
        for function in functions(path)
        if (length := (function.end_lineno or 0) - function.lineno + 1) > LONGEST_FUNCTION
    }
    assert long == {}


def suppressions_without_reason(path: Path) -> Iterator[str]:
    with path.open("rb") as lines:
        for token in tokenize.tokenize(lines.readline):
            bare = SUPPRESSION.sub("", token.string) if token.type == tokenize.COMMENT else token.string
            if bare != token.string and not re.search("[A-Za-z]{2}", bare):
                yield f"{path.relative_to(ROOT)}:{token.start[0]}: {token.string}"


def test_whatever_silences_a_checker_says_why_on_its_line() -> None:
    assert [line for path in MODULES for line in suppressions_without_reason(path)] == []


def test_every_import_goes_down_the_layers() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_decision_record_has_a_number_and_a_title() -> None:
    assert RECORDS
    for number, path in enumerate(RECORDS, start=1):
        assert path.name.startswith(f"{number:04d}-")
        assert path.read_text().startswith(f"# {number:04d}. ")


def test_every_dependency_is_given_a_reason() -> None:
    record = (ROOT / "docs" / "adr" / "0001-dependencies.md").read_text()
    project = (ROOT / "pyproject.toml").read_text().partition("[project.scripts]")[0]
    dependencies = re.findall(r'^    "([a-z0-9-]+)(?:\[[a-z]+\])?>=', project, re.MULTILINE)
    assert len(dependencies) >= 10
    assert [name for name in dependencies if f"`{name}`" not in record] == []


def test_the_changelog_speaks_of_this_version() -> None:
    assert f"## {mirrorsync.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_packaged_version_is_the_one_the_program_says() -> None:
    assert f'\nversion = "{mirrorsync.__version__}"\n' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_that_a_document_names_exists(document: str) -> None:
    named = set(
        re.findall(r"\bmake ([a-z-]+)\b(?=[ \t]*(?:#|`|$|[A-Z]+=))", (ROOT / document).read_text(), re.MULTILINE)
    )
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert "test" in named
    assert named <= targets


def test_every_path_in_the_architecture_document_exists() -> None:
    document = (ROOT / "ARCHITECTURE.md").read_text()
    named = re.findall(r"`((?:\.?\w+[\w.-]*/)*(?:[\w.-]+\.(?:py|toml|md|example)|(?:[\w-]+/)+))(?:::(\w+))?`", document)
    assert len(named) > 60
    assert [f"{path}::{name}" for path, name in named if not is_there(path, name)] == []


def is_there(path: str, name: str) -> bool:
    """Return whether the repository or the package has `path`, and whether that defines `name`, if given."""
    found = [place / path for place in (ROOT, ROOT / "src" / "mirrorsync") if (place / path).exists()]
    if not name:
        return bool(found)
    return any(re.search(rf"^ *(?:class|def|async def) {name}\b", file.read_text(), re.MULTILINE) for file in found)


def test_the_tree_in_the_architecture_document_is_complete() -> None:
    tree = (ROOT / "ARCHITECTURE.md").read_text().partition("## Tree")[2]
    packages = {path.parent.name for path in (ROOT / "src" / "mirrorsync").glob("*/__init__.py")}
    suites = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert {name for name in packages | suites if f"{name}/" not in tree} == set()
