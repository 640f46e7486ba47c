"""`mirrorsync init` and `mirrorsync config check`."""

import os
import textwrap
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from mirrorsync.cli.options import Config, Json, take_config
from mirrorsync.cli.render import aligned, exits, print_json, print_line, print_warning
from mirrorsync.config.advice import warnings
from mirrorsync.config.example import EXAMPLE_DIRECTORY, example
from mirrorsync.config.load import PLACES, SECTIONS, VARIABLE, find, load
from mirrorsync.config.rules import SecretUrl
from mirrorsync.config.schema import PLACEHOLDER_CONTACT, MirrorSettings, Settings
from mirrorsync.config.setting import Setting, ValueKind, settings_of
from mirrorsync.errors import StoreDenied
from mirrorsync.model.units import format_duration, format_size

_WIDTH: Final = 96
_INDENT: Final = " " * 4
_config = typer.Typer(no_args_is_help=True, callback=take_config)


def register(app: typer.Typer) -> None:
    """Add `init` and `config` to `app`."""
    app.command("init", epilog="Example: mirrorsync init --directory /srv/pypi --contact you@your-site.example")(init)
    app.add_typer(_config, name="config", help="Check the configuration.", epilog="Example: mirrorsync config check")


@exits()
def init(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="The file to write.")] = PLACES[0],
    directory: Annotated[
        Path | None,
        typer.Option(help=f"The mirror's directory. Default: {EXAMPLE_DIRECTORY}.", show_default=False),
    ] = None,
    contact: Annotated[
        str | None, typer.Option(help="Your e-mail or web address, sent with every request to the index.")
    ] = None,
) -> None:
    """Write a configuration file that explains every setting.

    An existing file is never overwritten.
    """
    if context.obj is not None:
        raise typer.BadParameter("init writes a new file and takes no --config: mirrorsync init PATH")
    # Relative to the shell's directory here; in the file a relative path starts at the file's directory.
    absolute = Path(os.path.abspath(directory)) if directory else None  # noqa: PTH100 -- resolve() follows links
    # Refuse what `config check` would refuse, before writing anything.
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
    *,
    config: Config = None,
    as_json: Json = False,
    explain: Annotated[bool, typer.Option("--explain", help="Explain each setting.")] = False,
) -> None:
    """Check the configuration and show the settings in force, defaults included.

    Exits 78 when mirrorsync would refuse the configuration, 0 otherwise; warnings do not count. In JSON, sizes are
    bytes and durations are seconds.
    """
    path = find(config)
    settings = load(path)
    advice = warnings(settings)
    if as_json:
        print_json({"path": path.absolute(), "settings": settings, "warnings": advice})
        return
    print_line(f"{path} is valid.")
    for line in _shown(settings, explain=explain):
        print_line(line)
    for sentence in advice:
        print_warning(sentence)


def _write_new(path: Path, text: str) -> None:
    """Write `text` to a new file, and remove the file after a failure. Raises: StoreDenied, also when it exists."""
    try:
        with path.open("xb") as file:
            try:
                file.write(text.encode())
                file.flush()
            except OSError:
                path.unlink()
                raise
    except FileExistsError as error:
        hint = "edit it, move it away, or name another file: mirrorsync init PATH"
        raise StoreDenied(f"{path} already exists", why="it was not changed", hint=hint) from error
    except OSError as error:
        hint = f"check that the directory {path.absolute().parent} exists and that this user can write to it"
        raise StoreDenied(f"{path} cannot be written", why=error.strerror or str(error), hint=hint) from error


def _next_steps(path: Path, contact: str | None) -> tuple[str, ...]:
    found = path.absolute() in {place.absolute() for place in PLACES}
    return (
        *(() if contact else (f"edit {path}: set contact to your e-mail or web address",)),
        *(() if found else (f"export {VARIABLE}={path.absolute()}",)),
        "mirrorsync config check    shows the settings in force",
        "mirrorsync sync --dry-run  shows what a pass would do",
        "mirrorsync sync            makes one pass; mirrorsync run keeps the mirror up to date",
    )


def _shown(settings: Settings, *, explain: bool) -> tuple[str, ...]:
    """Return the settings in force, one a line, with columns aligned over all sections."""
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
    if setting.kind is ValueKind.TEXTS:
        return ", ".join(map(_text, value)) or ("(everything)" if setting.key == "projects" else "(none)")
    if setting.kind is ValueKind.DURATION:
        return format_duration(value)
    if setting.kind is ValueKind.SIZE:
        return format_size(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text(value)


def _text(value: Any) -> str:
    return value.shown if isinstance(value, SecretUrl) else str(value)
