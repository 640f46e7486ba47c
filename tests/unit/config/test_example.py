import tomllib
from pathlib import Path

import pytest

from mirrorsync.config.example import example
from mirrorsync.config.load import SECTIONS, parse
from mirrorsync.config.schema import Settings
from mirrorsync.config.setting import settings_of
from mirrorsync.errors import BadConfig

ROOT = Path(__file__).resolve().parents[3]
SITE = Path("/etc/site.toml")


def test_the_example_in_the_checkout_is_what_the_schema_makes() -> None:
    text = (ROOT / "mirrorsync.toml.example").read_text(encoding="utf-8")
    assert text == example(None, None), "delete mirrorsync.toml.example; mirrorsync init mirrorsync.toml.example"


def test_the_example_with_a_contact_loads_and_says_nothing_but_the_defaults() -> None:
    settings = parse(example("/srv/mirror", "ops@site.test"), SITE, {})
    assert settings.mirror.directory == Path("/srv/mirror")
    assert settings == Settings(mirror=settings.mirror)


def test_the_example_as_it_is_lacks_a_contact_and_nothing_else() -> None:
    with pytest.raises(BadConfig, match="placeholder"):
        parse(example(None, None), SITE, {})
    own_index = example(None, None).replace('index = "pypi"', 'index = "https://index.test"')
    assert parse(own_index, SITE, {}).upstream.index == "https://index.test"


def test_every_setting_stands_in_the_example_and_loads_when_it_is_switched_on() -> None:
    lines = example(None, "ops@site.test").splitlines()
    switched_on = "\n".join(line[1:] if line.startswith("#") and line[1:2].isalpha() else line for line in lines)
    written = tomllib.loads(switched_on)
    for name, section in SECTIONS.items():
        assert list(written[name]) == [setting.key for setting in settings_of(name, section)]
    settings = parse(switched_on, SITE, {})
    assert settings.content.root_url == "https://mirror.example.edu"
    assert settings.upstream.file_hosts == ("files.example.edu",)


def test_every_setting_is_described_in_two_lines_at_most() -> None:
    comments = 0
    for line in example(None, None).partition("[mirror]")[2].splitlines():
        comments = comments + 1 if line.startswith("# ") else 0
        assert comments <= 2, line
        assert len(line) <= 100
    for name, section in SECTIONS.items():
        assert all(setting.description for setting in settings_of(name, section))


@pytest.mark.parametrize("directory", ['/srv/a "quoted" one', "/srv/back\\slash", "/srv/häuser/𝄞"])
def test_a_directory_of_any_printable_name_comes_back_as_it_was(directory: str) -> None:
    assert parse(example(directory, "ops@site.test"), SITE, {}).mirror.directory == Path(directory)
