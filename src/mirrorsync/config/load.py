"""Load `Settings` from a file, or report the first error in it."""

import os
import tomllib
from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Final

import msgspec

from mirrorsync.config import rules
from mirrorsync.config.schema import Settings
from mirrorsync.config.setting import REQUIRED, Setting, ValueKind, settings_of
from mirrorsync.errors import BadConfig
from mirrorsync.model.identity import is_segment
from mirrorsync.model.units import parse_duration, parse_size
from mirrorsync.model.wording import did_you_mean

VARIABLE: Final = "MIRRORSYNC_CONFIG"
PLACES: Final = (Path("mirrorsync.toml"), Path("/etc/mirrorsync/mirrorsync.toml"))
SECTIONS: Final = {one.encode_name: one.type for one in msgspec.structs.fields(Settings)}
"""Each section's name and class, in the file's order."""
_CREDENTIAL: Final = "credential:"
_CREDENTIALS_VARIABLE: Final = "CREDENTIALS_DIRECTORY"
_NAMES_OF_TYPES: Final = {
    list: "a list",
    dict: "a section",
    datetime: "a date and time",
    date: "a date",
    time: "a time",
}


def find(path: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the configuration file to read: `path`, else $MIRRORSYNC_CONFIG, else the first of `PLACES` that exists.

    A given path, or the variable's, is returned unchecked; `load` reports what is wrong with it.
    Raises: BadConfig, with the places searched, when there is none.
    """
    if path is not None:
        return path
    if named := environ.get(VARIABLE):
        return Path(named)
    for place in PLACES:
        if os.path.lexists(place):
            return place
    raise BadConfig(
        "no configuration file was found",
        why=f"${VARIABLE} is not set, and there is no {' or '.join(_here(place) for place in PLACES)}",
        hint="`mirrorsync init` writes one here; --config FILE names one elsewhere",
    )


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings in the file at `path`, with defaults filled in and paths made absolute.

    Raises: BadConfig, which names the file, the key, the reason and a valid value.
    """
    settings = parse(
        _read(path, "the configuration", f"check the path; `mirrorsync init {path}` writes a new file"), path, environ
    )
    ca_file = settings.upstream.ca_file
    if ca_file is not None and not ca_file.is_file():
        raise BadConfig(
            f"{path}: [upstream] ca-file is {str(ca_file)!r}",
            why="this user sees no such file",
            hint="set it to the path of a PEM file, or remove ca-file to trust the usual certificates",
        )
    return settings


def parse(text: str, path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings in `text`, the content of the file at `path`. Raises: BadConfig."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError also for numbers of thousands of digits
        raise BadConfig(
            f"{path} is not valid TOML",
            why=str(error),
            hint='write strings in "quotes", lists in [brackets], true and false in lower case, and each key once',
        ) from error
    folder = path.absolute().parent.resolve()
    try:
        _refuse_unknown("section", document, SECTIONS)
        sections = {
            name: kind(**_section(settings_of(name, kind), _table(name, document), folder, environ))
            for name, kind in SECTIONS.items()
        }
        return Settings(**sections)
    except BadConfig as error:
        raise BadConfig(f"{path}: {error.what}", why=error.why, hint=error.hint) from error


def _read(path: Path, what: str, absent_hint: str) -> str:
    """Return the text of the file at `path`. Errors call it `what`, and `absent_hint` is the hint if it is missing."""
    try:
        return path.read_bytes().decode("utf-8-sig")  # editors on Windows write a byte order mark
    except FileNotFoundError as error:
        raise BadConfig(f"{what} {path} does not exist", hint=absent_hint) from error
    except IsADirectoryError as error:
        hint = f"give the path of the file in it: {path / PLACES[0]}"
        raise BadConfig(f"{what} {path} is a directory, not a file", hint=hint) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        hint = "save the file as UTF-8"
        raise BadConfig(f"{what} {path} is not UTF-8", why=f"line {line} contains other bytes", hint=hint) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = getattr(error, "strerror", None) or str(error)
        hint = "let this user read the file"
        raise BadConfig(f"{what} {path} cannot be read", why=why, hint=hint) from error


def _table(name: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
    table = document.get(name, {})
    if not isinstance(table, dict):
        raise BadConfig(
            f"{name} is {_shown(table)}", why="it must be a section", hint=f"write [{name}] on a separate line"
        )
    return table


def _section(
    known: tuple[Setting, ...], table: Mapping[str, Any], folder: Path, environ: Mapping[str, str]
) -> Mapping[str, Any]:
    """Return the section's values by attribute, without those that the file leaves to their defaults."""
    _refuse_unknown(f"key in [{known[0].section}]", table, [setting.key for setting in known])
    for setting in known:
        if setting.default is REQUIRED and setting.key not in table:
            raise BadConfig(
                f"[{setting.section}] {setting.key} is missing",
                why="it has no default",
                hint=f"add it to [{setting.section}], for example {setting.key} = {setting.spell(setting.example)}",
            )
    return {
        setting.attribute: _value(setting, table[setting.key], folder, environ)
        for setting in known
        if setting.key in table
    }


def _value(setting: Setting, given: Any, folder: Path, environ: Mapping[str, str]) -> Any:
    try:
        value = _converted(setting, given)
    except (msgspec.ValidationError, ValueError, RuntimeError) as error:  # RuntimeError: "~" without a home directory
        unfit_text = not isinstance(error, msgspec.ValidationError)
        raise BadConfig(
            f"[{setting.section}] {setting.key} is {_shown(given)}",
            why=str(error) if unfit_text else f"it takes {setting.takes}",
            hint=f"for example {setting.key} = {setting.spell(setting.example)}",
        ) from error
    if setting.key == "proxy":
        return _proxy(value, environ)
    return folder / value if isinstance(value, Path) else value


def _converted(setting: Setting, given: Any) -> Any:
    if setting.kind in {ValueKind.DURATION, ValueKind.SIZE, ValueKind.PATH}:
        text = msgspec.convert(given, str)
        if setting.kind is ValueKind.DURATION:
            return parse_duration(text)
        if setting.kind is ValueKind.SIZE:
            return parse_size(text)
        if not text:
            raise ValueError("a path cannot be empty")
        return Path(text).expanduser()
    return msgspec.convert(given, setting.type, strict=True)


def _proxy(text: str, environ: Mapping[str, str]) -> str:
    """Return the proxy's URL; `credential:NAME` is replaced by the content of that credential."""
    if not text.startswith(_CREDENTIAL):
        if "@" in text:
            raise BadConfig(
                f"[upstream] proxy is {rules.redacted(text)[:80]!r}",
                why="it contains a user name or password, and this file must not contain secrets",
                hint=f'put the URL into the file $CREDENTIALS_DIRECTORY/proxy and write proxy = "{_CREDENTIAL}proxy"',
            )
        return text
    name = text.removeprefix(_CREDENTIAL)
    folder = environ.get(_CREDENTIALS_VARIABLE, "")
    if not folder or not is_segment(name):
        why = "$CREDENTIALS_DIRECTORY is not set" if not folder else "the credential's name is not a plain file name"
        hint = "systemd sets it with LoadCredential=proxy:/path/to/file; otherwise set it to a directory with that file"
        raise BadConfig(f"[upstream] proxy is {text[:80]!r}", why=why, hint=hint)
    url = _read(Path(folder) / name, "the credential", "write the proxy's URL into that file").strip()
    try:
        return rules.proxy(url)
    except BadConfig:
        why, hint = (
            "it does not contain one http or https URL",
            "for example http://user:password@proxy.example.edu:3128",
        )
        raise BadConfig(f"the credential {name} is not a proxy", why=why, hint=hint) from None  # it holds the secret


def _refuse_unknown(what: str, given: Mapping[str, Any], known: Any) -> None:
    for key in given:
        if key in known:
            continue
        home = next((name for name, kind in SECTIONS.items() if _has(name, kind, key)), "")
        if home:
            hint = f"{key} belongs in [{home}]"
        else:
            hint = did_you_mean(key.replace("_", "-"), known) or f"known are {', '.join(known)}"
        raise BadConfig(f"{key[:80]!r} is not a known {what}", hint=hint)


def _has(name: str, kind: type[msgspec.Struct], key: str) -> bool:
    return any(setting.key == key for setting in settings_of(name, kind))


def _shown(given: Any) -> str:
    """Return a value for an error message; lists and tables by kind only, since they may contain a password."""
    if isinstance(given, bool):
        return "true" if given else "false"
    return repr(given[:80]) if isinstance(given, str) else _NAMES_OF_TYPES.get(type(given), str(given)[:80])


def _here(place: Path) -> str:
    return str(place) if place.is_absolute() else f"./{place}"
