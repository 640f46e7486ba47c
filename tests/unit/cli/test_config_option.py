"""`--config` and `-c` name the configuration before the command and after it."""

from pathlib import Path
from typing import Any, Final

import pytest
import typer
from typer.testing import CliRunner

from mirrorsync.cli.main import app
from mirrorsync.errors import ExitCode
from mirrorsync.observe.log import LineStyle, Log

COMMANDS: Final = {
    "sync": ["sync"],
    "run": ["run"],
    "serve": ["serve"],
    "status": ["status"],
    "project show": ["project", "show", "numpy"],
    "project retry": ["project", "retry", "numpy"],
    "config check": ["config", "check"],
}
MISSING: Final = Path("/nonexistent/mirrorsync.toml")


@pytest.fixture(autouse=True)
def _no_process_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logging of this process as it is."""
    monkeypatch.setattr("mirrorsync.cli.command_log.start", lambda *_: Log(LineStyle.TEXT, None))


def run(*words: object) -> tuple[int, str]:
    """Return the exit code and the output; every command fails, since the configuration does not exist."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.output


def test_the_list_has_every_command_with_the_option() -> None:
    def below(command: Any, words: list[str]) -> dict[str, Any]:
        children = getattr(command, "commands", None)
        if children is None:
            return {" ".join(words): command}
        return {key: leaf for name, child in children.items() for key, leaf in below(child, [*words, name]).items()}

    leaves = below(typer.main.get_command(app), [])
    assert {name for name, leaf in leaves.items() if any("-c" in each.opts for each in leaf.params)} == set(COMMANDS)


@pytest.mark.parametrize("option", ["--config", "-c"])
@pytest.mark.parametrize("command", COMMANDS)
def test_file_is_read_when_named_before_or_after_the_command(command: str, option: str) -> None:
    words = COMMANDS[command]
    code = 3 if command == "status" else ExitCode.CONFIG
    orders = [[option, MISSING, *words], [*words, option, MISSING], [option, MISSING, *words, option, MISSING]]
    if len(words) > 1:
        orders.append([words[0], option, MISSING, *words[1:]])
    for order in orders:
        ended, output = run(*order)
        assert str(MISSING) in output.replace("\n", ""), order
        assert ended == code, order


@pytest.mark.parametrize("command", COMMANDS)
def test_two_different_files_are_a_usage_error(command: str) -> None:
    code, output = run("--config", MISSING, *COMMANDS[command], "-c", "/nonexistent/other.toml")
    assert code == ExitCode.USAGE
    assert "other.toml" in output


def test_init_takes_no_configuration(tmp_path: Path) -> None:
    code, output = run("--config", MISSING, "init", tmp_path / "new.toml")
    assert code == ExitCode.USAGE
    assert "takes no --config" in output
    assert not (tmp_path / "new.toml").exists()
