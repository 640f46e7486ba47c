import sys
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from mirrorsync.cli.render import aligned, exits, print_error, print_json, print_line
from mirrorsync.config.rules import SecretUrl
from mirrorsync.errors import AlreadyRunning, BadConfig, ExitCode, Malformed, MirrorsyncError, StoreFull
from mirrorsync.model.wording import printable


def test_error_and_hint_are_two_lines_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(StoreFull("/srv/pypi has 3.1 GiB free", why="min-free is 20 GiB", hint="make room"))
    assert capsys.readouterr() == ("", "error: /srv/pypi has 3.1 GiB free: min-free is 20 GiB\nhint: make room\n")


def test_error_without_cause_and_hint_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(Malformed("no page"))
    assert capsys.readouterr().err == "error: no page\n"


def test_markup_and_terminal_commands_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(Malformed("[bold]x[/bold] \x1b]0;pwned\x07\nerror: forged", why="\u202egnp.exe \udc80", hint="a\rb"))
    assert capsys.readouterr().err == (
        "error: [bold]x[/bold] \\x1b]0;pwned\\x07\\nerror: forged: \\u202egnp.exe \\udc80\nhint: a\\rb\n"
    )


@given(st.text())
def test_printable_escapes_only_unprintable_text(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(text) == text or not text.isprintable()


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert aligned([("a", "bcd", "e"), ("long", "b", "")]) == ("a     bcd  e", "long  b")
    assert aligned([]) == ()


def test_json_has_paths_as_text_and_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"path": Path("/srv"), "proxy": SecretUrl("http://u:hunter2@proxy.test")})
    assert capsys.readouterr().out == '{\n  "path": "/srv",\n  "proxy": "http://***@proxy.test"\n}\n'


@pytest.mark.parametrize(
    ("error", "code"),
    [(BadConfig("x"), ExitCode.CONFIG), (AlreadyRunning("x"), ExitCode.ALREADY_RUNNING), (Malformed("x"), 69)],
)
def test_error_exits_with_its_own_code(error: MirrorsyncError, code: int) -> None:
    with pytest.raises(SystemExit) as caught, exits():
        raise error
    assert caught.value.code == code


def test_exits_works_as_a_decorator_repeatedly() -> None:
    @exits()
    def command(name: str) -> str:
        if name == "bad":
            raise BadConfig(name)
        return name

    for _ in range(2):
        assert command("good") == "good"
        with pytest.raises(SystemExit):
            command("bad")


def test_error_from_nested_nurseries_exits_like_a_bare_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def main() -> None:
        async with trio.open_nursery() as outer, trio.open_nursery() as inner:
            inner.start_soon(fail)
            outer.start_soon(trio.sleep_forever)

    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise StoreFull("no space")

    with pytest.raises(SystemExit) as caught, exits():
        trio.run(main)
    assert caught.value.code == ExitCode.CANNOT_WRITE
    assert capsys.readouterr().err == "error: no space\n"


@pytest.mark.parametrize(
    "bug",
    [KeyError("x"), ExceptionGroup("", [KeyError("x")]), ExceptionGroup("", [BadConfig("x"), KeyError("x")])],
)
def test_bug_propagates_unchanged(bug: Exception) -> None:
    with pytest.raises(type(bug)) as caught, exits():
        raise bug
    assert caught.value is bug


def test_print_line_escapes_line_ends(capsys: pytest.CaptureFixture[str]) -> None:
    print_line("a\nb")
    assert capsys.readouterr().out == "a\\nb\n"
    assert sys.exc_info() == (None, None, None)
