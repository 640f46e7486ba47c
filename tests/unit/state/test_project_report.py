"""One project's ledger, and suggestions for misspelt names."""

from contextlib import closing
from pathlib import Path

import pytest

from mirrorsync.app.state_access import retry_project, show_project
from mirrorsync.config.load import parse
from mirrorsync.config.schema import Settings
from mirrorsync.errors import ExitCode, UnknownProject
from mirrorsync.model.identity import ProjectName
from mirrorsync.state.connection import connect
from mirrorsync.state.mirror_row import init_mirror
from mirrorsync.state.progress import add_projects
from mirrorsync.state.schema import migrate

NAMES = [ProjectName(name) for name in ("numpy", "requests", "django", "trio", "a-very-long-name-of-a-project")]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "state").mkdir()
    with closing(connect(tmp_path / "state" / "mirrorsync.sqlite3")) as connection:
        migrate(connection)
        init_mirror(connection, "https://index.test", "", "", tree_has_files=False)
        add_projects(connection, NAMES)
    return parse(f'[mirror]\ndirectory = "{tmp_path}"\ncontact = "ops@site.test"\n', tmp_path / "mirrorsync.toml", {})


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [("nunpy", "numpy"), ("bumpy", "numpy"), ("reqeusts", "requests"), ("djagno", "django"), ("request", "requests")],
)
def test_unknown_project_exits_1_and_suggests_a_similar_name(settings: Settings, misspelt: str, meant: str) -> None:
    for command in (show_project, retry_project):
        with pytest.raises(UnknownProject) as caught:
            command(settings, ProjectName(misspelt))
        assert caught.value.exit_code == ExitCode.UNMET
        assert caught.value.hint == f"did you mean {meant}?"


def test_unlike_name_gets_no_suggestion(settings: Settings) -> None:
    with pytest.raises(UnknownProject) as caught:
        show_project(settings, ProjectName("zzz"))
    assert caught.value.hint.startswith("check the spelling")


def test_retry_makes_the_project_due(settings: Settings) -> None:
    path = settings.mirror.directory / "state" / "mirrorsync.sqlite3"
    with closing(connect(path)) as connection:
        connection.execute("UPDATE project SET recheck = 0, next_attempt_at = 9e9, etag = 'x'")
    retry_project(settings, NAMES[0])
    assert show_project(settings, NAMES[0]).next_attempt_at == 0
    assert show_project(settings, NAMES[1]).next_attempt_at == 9e9
