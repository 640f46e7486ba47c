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


def test_example_file_matches_the_schema() -> None:
    text = (ROOT / "mirrorsync.toml.example").read_text(encoding="utf-8")
    assert text == example(None, None), "delete mirrorsync.toml.example; mirrorsync init mirrorsync.toml.example"


def test_example_with_a_contact_loads_as_the_defaults() -> None:
    settings = parse(example("/srv/mirror", "ops@site.test"), SITE, {})
    assert settings.mirror.directory == Path("/srv/mirror")
    assert settings == Settings(mirror=settings.mirror)


def test_example_is_refused_only_for_its_contact() -> None:
    with pytest.raises(BadConfig, match="placeholder"):
        parse(example(None, None), SITE, {})
    own_index = example(None, None).replace('index = "pypi"', 'index = "https://index.test"')
    assert parse(own_index, SITE, {}).upstream.index == "https://index.test"


def test_every_setting_of_the_example_loads() -> None:
    lines = example(None, "ops@site.test").splitlines()
    switched_on = "\n".join(line[1:] if line.startswith("#") and line[1:2].isalpha() else line for line in lines)
    written = tomllib.loads(switched_on)
    for name, section in SECTIONS.items():
        assert list(written[name]) == [setting.key for setting in settings_of(name, section)]
    settings = parse(switched_on, SITE, {})
    assert settings.content.root_url == "https://mirror.example.edu"
    assert settings.upstream.file_hosts == ("files.example.edu",)


def test_every_description_has_at_most_two_lines() -> None:
    comments = 0
    for line in example(None, None).partition("[mirror]")[2].splitlines():
        comments = comments + 1 if line.startswith("# ") else 0
        assert comments <= 2, line
        assert len(line) <= 100
    for name, section in SECTIONS.items():
        assert all(setting.description for setting in settings_of(name, section))


@pytest.mark.parametrize("directory", ['/srv/a "quoted" one', "/srv/back\\slash", "/srv/häuser/𝄞"])
def test_any_printable_directory_survives_the_round_trip(directory: str) -> None:
    assert parse(example(directory, "ops@site.test"), SITE, {}).mirror.directory == Path(directory)
