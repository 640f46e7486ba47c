"""`mirrorsync init` and `mirrorsync config check`."""

import os
import textwrap
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from mirrorsync.cli.render import aligned, exits, print_json, print_line, print_warning
from mirrorsync.config.advice import warnings
from mirrorsync.config.example import EXAMPLE_DIRECTORY, example
from mirrorsync.config.load import PLACES, SECTIONS, VARIABLE, find, load
from mirrorsync.config.rules import SecretUrl
from mirrorsync.config.schema import PLACEHOLDER_CONTACT, MirrorSettings, Settings
from mirrorsync.config.setting import Kind, Setting, settings_of
from mirrorsync.errors import StoreDenied
from mirrorsync.model.units import format_duration, format_size

_WIDTH: Final = 96
_INDENT: Final = " " * 4
_config = typer.Typer(no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add `init` and `config` to `app`."""
    app.command("init", epilog="Example: mirrorsync init --directory /srv/pypi --contact you@your-site.example")(init)
    app.add_typer(_config, name="config", help="Check the configuration.", epilog="Example: mirrorsync config check")


@exits()
def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = PLACES[0],
    directory: Annotated[
        Path | None,
        typer.Option(help=f"Where the mirror will live. Default: {EXAMPLE_DIRECTORY}.", show_default=False),
    ] = None,
    contact: Annotated[
        str | None, typer.Option(help="Your e-mail or web address, sent to the index with every request.")
    ] = None,
) -> None:
    """Write a configuration in which every setting is explained.

    A file that is there already is left as it is.
    """
    # The shell's folder is what an operator means here; in the file a relative path would start at the file's.
    absolute = Path(os.path.abspath(directory)) if directory else None  # noqa: PTH100 -- resolve() follows links
    # Refuses what `config check` would refuse, before anything is written.
    MirrorSettings(directory=absolute or Path(EXAMPLE_DIRECTORY), contact=contact or PLACEHOLDER_CONTACT)
    _write_new(path, example(str(absolute) if absolute else None, contact))
    print_line(f"Wrote {path}.")
    print_line()
    print_line("Next:")
    for number, step in enumerate(_next_steps(path, contact), start=1):
        print_line(f"  {number}. {step}")


@_config.command("check", epilog="Example: mirrorsync config check --config /etc/mirrorsync/mirrorsync.toml")
@exits()
def check(
    config: Annotated[
        Path | None,
        typer.Option(help=f"The file to check. Default: ${VARIABLE}, ./{PLACES[0]}, {PLACES[1]}.", show_default=False),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON: sizes in bytes, durations in seconds.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say what each setting is for.")] = False,
) -> None:
    """Check the configuration and show what is in force, defaults included.

    Warnings do not make it fail; a configuration that mirrorsync would refuse ends with code 78.
    """
    path = find(config)
    settings = load(path)
    advice = warnings(settings)
    if as_json:
        print_json({"path": path.absolute(), "settings": settings, "warnings": advice})
        return
    print_line(f"{path} is in order.")
    for line in _shown(settings, explain=explain):
        print_line(line)
    for sentence in advice:
        print_warning(sentence)


def _write_new(path: Path, text: str) -> None:
    """Write `text` to a file that must not be there yet; after a failure there is none.

    Raises: StoreDenied.
    """
    try:
        with path.open("xb") as file:
            try:
                file.write(text.encode())
                file.flush()
            except OSError:
                path.unlink()
                raise
    except FileExistsError as error:
        hint = "edit it, move it away, or name another: mirrorsync init PATH"
        raise StoreDenied(f"{path} is there already", why="it was left as it is", hint=hint) from error
    except OSError as error:
        hint = f"is there a folder {path.absolute().parent}, and may this user write to it?"
        raise StoreDenied(f"{path} cannot be written", why=error.strerror or str(error), hint=hint) from error


def _next_steps(path: Path, contact: str | None) -> tuple[str, ...]:
    found = path.absolute() in {place.absolute() for place in PLACES}
    return (
        *(() if contact else (f"write your e-mail or web address into {path}: contact = …",)),
        *(() if found else (f"export {VARIABLE}={path.absolute()}",)),
        "mirrorsync config check    shows what is in force",
        "mirrorsync sync --dry-run  shows what a sync would do",
        "mirrorsync sync            does it once; mirrorsync run keeps the mirror up to date",
    )


def _shown(settings: Settings, *, explain: bool) -> tuple[str, ...]:
    """Return what is in force, the columns aligned over all sections."""
    known = {name: settings_of(name, kind) for name, kind in SECTIONS.items()}
    rows = [
        (setting.key, _words(setting, getattr(getattr(settings, name), setting.attribute)))
        for name, section in known.items()
        for setting in section
    ]
    lines = iter(aligned(rows))
    shown: list[str] = []
    for name, section in known.items():
        shown += ["", f"[{name}]"]
        for setting in section:
            shown.append(next(lines))
            shown += (
                textwrap.wrap(setting.description, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
                if explain
                else []
            )
    return tuple(shown)


def _words(setting: Setting, value: Any) -> str:
    if value is None:
        return "(not set)"
    if setting.kind is Kind.TEXTS:
        return ", ".join(map(_text, value)) or ("(everything)" if setting.key == "projects" else "(none)")
    if setting.kind is Kind.DURATION:
        return format_duration(value)
    if setting.kind is Kind.SIZE:
        return format_size(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text(value)


def _text(value: Any) -> str:
    return value.shown if isinstance(value, SecretUrl) else str(value)
