"""Settings of sinks, and which of them are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from mirrorsync.app.sinks import notify_config
from mirrorsync.config.load import parse
from mirrorsync.config.schema import Settings
from mirrorsync.errors import BadConfig
from mirrorsync.state import notification_queue
from mirrorsync.state.ledger import open_state

SITE = Path("/etc/site.toml")
TOKEN = {"token-file": "token"}


def settings(**sections: dict[str, Any]) -> Settings:
    whole = {"mirror": {"directory": "/srv/pypi", "contact": "ops@site.test"}, **sections}
    text = "\n".join(
        f"[{name}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in section.items())
        for name, section in whole.items()
    )
    return parse(text, SITE, {})


def test_default_configuration_has_no_sinks() -> None:
    assert notify_config(settings()).sinks == ()


def test_each_configured_sink_has_its_own_name_without_secrets() -> None:
    config = notify_config(
        settings(
            notify={
                "command": ["/bin/true"],
                "webhooks": ["https://hooks.test/secret-1", "https://hooks.test/secret-2"],
                "webhook-secret-file": "secret",
                "interval": "250ms",
                "flood-limit": 99,
            },
            purge={"caches": ["http://10.0.0.1:6081/", "http://10.0.0.2:6081"], "kind": "nginx"},
            fastly={"service": "S", **TOKEN},
            cloudflare={"zone": "Z", **TOKEN},
        )
    )
    assert [sink.name for sink in config.sinks] == [
        "nginx 10.0.0.1:6081",
        "nginx 10.0.0.2:6081",
        "fastly",
        "cloudflare",
        "webhook 1 (hooks.test)",
        "webhook 2 (hooks.test)",
        "command",
    ]
    assert (config.interval, config.flood) == (0.25, 99)


@pytest.mark.parametrize(
    "caches",
    [
        ["http://10.0.0.1/a", "http://10.0.0.1/b"],
        ["http://10.0.0.1", "https://10.0.0.1"],
        ["http://10.0.0.1", "http://10.0.0.1/", "http://10.0.0.2", "http://10.0.0.1/a"],
    ],
)
async def test_caches_at_one_host_have_distinct_stable_names(caches: list[str], tmp_path: Path) -> None:
    names = [sink.name for sink in notify_config(settings(purge={"caches": caches})).sinks]
    assert len(set(names)) == len(names) == len({cache.rstrip("/") for cache in caches})
    assert ("varnish 10.0.0.2" in names) == ("http://10.0.0.2" in caches)
    async with open_state(tmp_path / "state.sqlite3") as state:
        for _ in range(2):
            await state.outbox.set_sinks(names)
        assert {row.name for row in await state.database.read(notification_queue.report)} == set(names)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"notify": {"webhooks": ["https://hooks.test/x"]}}, "without webhook-secret-file"),
        ({"notify": {"webhooks": ["http://hooks.test/hidden"], "webhook-secret-file": "s"}}, "starts with http://"),
        ({"notify": {"webhooks": ["ftp://hooks.test/hidden"], "webhook-secret-file": "s"}}, "not a valid web"),
        ({"notify": {"webhooks": ["https://me:hidden@hooks.test/"], "webhook-secret-file": "s"}}, "not a valid web"),
        ({"notify": {"interval": "0s"}}, "interval is 0s"),
        ({"notify": {"command": [""]}}, "starts with an empty string"),
        ({"notify": {"command": "rm -rf"}}, "a list of texts"),
        ({"purge": {"caches": ["10.0.0.1:6081"]}}, "not an http or https URL"),
        ({"fastly": {"service": "S"}}, "without token-file"),
        ({"fastly": {"service": "S", **TOKEN, "api-url": "http://api.test"}}, "starts with http://"),
        ({"cloudflare": {"zone": "Z"}}, "without token-file"),
        ({"cloudflare": {"zone": "Z", **TOKEN, "by": "urls"}}, "neither .* public-urls nor"),
        ({"fastly": {"token": "hidden"}}, "not a known key"),
    ],
)
def test_invalid_setting_is_refused_in_one_sentence(sections: dict[str, dict[str, Any]], message: str) -> None:
    with pytest.raises(BadConfig, match=message) as caught:
        settings(**sections)
    assert caught.value.hint
    assert "hidden" not in f"{caught.value} {caught.value.hint}"


def test_secret_is_a_file_or_a_systemd_credential() -> None:
    assert settings(fastly={"service": "S", "token-file": "token"}).fastly.token_file == Path("/etc/token")
    assert settings(fastly={"service": "S", "token-file": "credential:t"}).fastly.token_file == Path(
        "/etc/credential:t"
    )
