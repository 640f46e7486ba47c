"""A configuration file that explains every setting, generated from the schema."""

import textwrap
from collections.abc import Iterator
from typing import Final

from mirrorsync.config.load import SECTIONS
from mirrorsync.config.schema import PLACEHOLDER_CONTACT
from mirrorsync.config.setting import REQUIRED, Setting, settings_of

EXAMPLE_DIRECTORY: Final = "/srv/pypi"
_WIDTH: Final = 96
_HEAD: Final = """\
# mirrorsync's configuration. Every setting is listed with its default. A line that starts with
# "#" and no space is an optional setting that is not set. "mirrorsync config check" shows the
# settings in force.
# Durations: "250ms", "60s", "2h30m", "1d". Sizes: "64 MiB", "20 GiB", "500 GB".

"""


def example(directory: str | None, contact: str | None) -> str:
    """Return a commented configuration with `directory` and `contact`, or with placeholders for them.

    It is valid with a contact; with the placeholder it is refused for that reason only.
    """
    values = {"directory": directory or EXAMPLE_DIRECTORY, "contact": contact or PLACEHOLDER_CONTACT}
    lines = [_HEAD]
    for name, kind in SECTIONS.items():
        lines.append(f"[{name}]\n")
        lines += [f"{line}\n" for setting in settings_of(name, kind) for line in _lines(setting, values)]
        lines.append("\n")
    return "".join(lines).rstrip("\n") + "\n"


def _lines(setting: Setting, values: dict[str, str]) -> Iterator[str]:
    yield from (f"# {line}" for line in textwrap.wrap(setting.description, _WIDTH))
    if setting.default is REQUIRED:
        yield f"{setting.key} = {setting.spell(values[setting.key])}"
    elif setting.default is None:
        yield f"#{setting.key} = {setting.spell(setting.example)}"
    else:
        yield f"{setting.key} = {setting.spell(setting.default)}"
