"""What of a configuration is hidden, and that nothing else is."""

from pathlib import Path

import pytest

from mirrorsync.app.wiring import cleaner
from mirrorsync.config.load import parse
from mirrorsync.config.schema import Settings

_HOOK_SECRET = "hunter2-of-the-hook"  # noqa: S105 - nobody's
_TOKEN = "hunter2-of-the-cdn"  # noqa: S105 - nobody's


def settings(home: Path, *webhooks: str) -> Settings:
    (home / "hook").write_text(f"{_HOOK_SECRET}\n")
    text = f"""
    [mirror]
    directory = "{home}/mirror"
    contact = "operator@site.test"
    [notify]
    webhooks = {list(webhooks)!r}
    webhook-secret-file = "{home}/hook"
    [fastly]
    service = "s"
    token-file = "credential:cdn"
    """
    return parse(text, home / "mirrorsync.toml", {})


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cdn").write_text(_TOKEN)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))


@pytest.mark.usefixtures("credentials")
def test_tokens_are_hidden_whether_they_are_in_files_or_credentials(tmp_path: Path) -> None:
    hide = cleaner(settings(tmp_path, "https://hooks.test/x"))
    assert hide(f"it said {_HOOK_SECRET} and {_TOKEN}!") == "it said *** and ***!"


def test_a_webhook_is_hidden_whole_and_its_path_where_that_is_a_secret(tmp_path: Path) -> None:
    hide = cleaner(settings(tmp_path, "https://hooks.test/mirror", "https://chat.test/services/T0/B0/x1y2"))
    assert hide("POST https://hooks.test/mirror failed") == "POST https://*** failed"
    assert hide("POST /services/T0/B0/x1y2 failed") == "POST /*** failed"


def test_a_word_of_ours_is_not_hidden_since_a_webhook_ends_in_it(tmp_path: Path) -> None:
    hide = cleaner(settings(tmp_path, "https://hooks.test/mirror", "https://hooks.test/"))
    told = "mirrorsync at hooks.test: /srv/mirror/state/mirrorsync.sqlite3 is locked"
    assert hide(told) == told
