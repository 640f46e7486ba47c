"""The secrets of a configuration are masked in texts, and other words are not."""

from pathlib import Path

import pytest

from mirrorsync.app.wiring import cleaner
from mirrorsync.config.load import parse
from mirrorsync.config.schema import Settings

_HOOK_SECRET = "hunter2-of-the-hook"  # noqa: S105 - a test value
_TOKEN = "hunter2-of-the-cdn"  # noqa: S105 - a test value


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
def test_tokens_in_files_and_credentials_are_masked(tmp_path: Path) -> None:
    mask = cleaner(settings(tmp_path, "https://hooks.test/x"))
    assert mask(f"it said {_HOOK_SECRET} and {_TOKEN}!") == "it said *** and ***!"


def test_webhook_and_its_secret_path_are_masked(tmp_path: Path) -> None:
    mask = cleaner(settings(tmp_path, "https://hooks.test/mirror", "https://chat.test/services/T0/B0/x1y2"))
    assert mask("POST https://hooks.test/mirror failed") == "POST https://*** failed"
    assert mask("POST /services/T0/B0/x1y2 failed") == "POST /*** failed"


def test_common_word_in_a_webhook_path_is_not_masked(tmp_path: Path) -> None:
    mask = cleaner(settings(tmp_path, "https://hooks.test/mirror", "https://hooks.test/"))
    text = "mirrorsync at hooks.test: /srv/mirror/state/mirrorsync.sqlite3 is locked"
    assert mask(text) == text
