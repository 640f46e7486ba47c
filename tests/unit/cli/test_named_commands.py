"""Every `mirrorsync …` command in documents, hints, units and alerts exists, with its options."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from mirrorsync.cli.main import app
from mirrorsync.config.example import example

ROOT = Path(__file__).resolve().parents[3]
COMMAND = typer.main.get_command(app)
DOCUMENTS = [
    path
    for pattern in ("*.md", "docs/**/*.md", "docs/**/*.yml", "bench/*.md", "systemd/*.service", "scripts/*")
    for path in sorted(ROOT.glob(pattern))
]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
INVOCATION = re.compile(r"(?P<before>[^\n]{0,60}?)(?P<mark>`|\$ |/bin/|)\bmirrorsync(?P<words>(?: +[^\s`'\"();,&]+)+)")
NOT_THE_PROGRAM = re.compile(r"(?:-u|systemctl [a-z-]+|SIGUSR1|pip install|import|from) $")


def unknown(text: str) -> Iterator[str]:
    """Yield the invocations in `text` that the command line would reject."""
    for match in INVOCATION.finditer(text):
        words = match["words"].replace("\\|", "|").split()
        if not NOT_THE_PROGRAM.search(match["before"] + match["mark"]) and not accepted(
            words, is_code=bool(match["mark"])
        ):
            yield f"mirrorsync {' '.join(words)}"


def accepted(words: list[str], *, is_code: bool) -> bool:
    """Return whether the words are a command with known options; prose, such as "mirrorsync reads", is accepted."""
    command = COMMAND
    rest = list(words)
    while rest and isinstance(command, TyperGroup) and not rest[0].startswith("-"):
        if not re.fullmatch(r"[a-z|]+[.:]?", rest[0]):  # a placeholder, such as COMMAND or …
            return True
        names = rest.pop(0).rstrip(".:").split("|")
        if not all(name in command.commands for name in names):
            return command is COMMAND and not is_code and not (rest and rest[0].startswith("-"))
        command = command.commands[names[0]]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help", "--"}
    given = [re.split(r"[=|.:\]]", word.lstrip("["))[0] for word in rest]
    return all(option in known for option in given if option.startswith("--"))


def strings(path: Path) -> str:
    """Return all string literals of a module; placeholders of f-strings are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return "\n".join(
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_in_a_document_exists(path: Path) -> None:
    assert list(unknown(path.read_text(encoding="utf-8"))) == []


def test_every_command_in_the_source_and_the_example_exists() -> None:
    found = {path.name: names for path in SOURCES if (names := list(unknown(strings(path))))}
    assert found == {}
    assert list(unknown(example(None, None))) == []


@pytest.mark.parametrize(
    "text",
    [
        "`mirrorsync plan`",
        "run mirrorsync verify --repair",
        "/opt/bin/mirrorsync status --jsn",
        "mirrorsync project waive NAME",
    ],
)
def test_a_command_that_does_not_exist_is_found(text: str) -> None:
    assert len(list(unknown(text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "mirrorsync reads it",
        "journalctl -u mirrorsync -e",
        "`mirrorsync project show|retry NAME`",
        "mirrorsync status --json",
    ],
)
def test_commands_that_exist_and_prose_are_accepted(text: str) -> None:
    assert list(unknown(text)) == []
