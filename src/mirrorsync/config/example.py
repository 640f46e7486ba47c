"""A configuration file with every setting explained, made from the schema so that it cannot lag behind it."""

import textwrap
from collections.abc import Iterator
from typing import Final

from mirrorsync.config.load import SECTIONS
from mirrorsync.config.schema import PLACEHOLDER_CONTACT
from mirrorsync.config.setting import REQUIRED, Setting, settings_of

EXAMPLE_DIRECTORY: Final = "/srv/pypi"
_WIDTH: Final = 96
_HEAD: Final = """\
# mirrorsync's configuration. Every setting is here, with its default; a line that starts with
# "#" and no space is a setting that is not set. "mirrorsync config check" shows what is in force.
# Durations: "250ms", "60s", "2h30m", "1d". Sizes: "64 MiB", "20 GiB", "500 GB".

"""


def example(directory: str | None, contact: str | None) -> str:
    """Return a commented configuration with `directory` and `contact`, or placeholders for them, filled in.

    With a contact it loads as it is; with the placeholder it is refused for that one reason.
    """
    written = {"directory": directory or EXAMPLE_DIRECTORY, "contact": contact or PLACEHOLDER_CONTACT}
    lines = [_HEAD]
    for name, kind in SECTIONS.items():
        lines.append(f"[{name}]\n")
        lines += [f"{line}\n" for setting in settings_of(name, kind) for line in _lines(setting, written)]
        lines.append("\n")
    return "".join(lines).rstrip("\n") + "\n"


def _lines(setting: Setting, written: dict[str, str]) -> Iterator[str]:
    yield from (f"# {line}" for line in textwrap.wrap(setting.description, _WIDTH))
    if setting.default is REQUIRED:
        yield f"{setting.key} = {setting.spell(written[setting.key])}"
    elif setting.default is None:
        yield f"#{setting.key} = {setting.spell(setting.example)}"
    else:
        yield f"{setting.key} = {setting.spell(setting.default)}"
