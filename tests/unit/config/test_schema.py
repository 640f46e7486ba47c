from pathlib import Path

import msgspec
import pytest

from mirrorsync.config.advice import warnings
from mirrorsync.config.rules import redacted
from mirrorsync.config.schema import (
    PLACEHOLDER_CONTACT,
    ContentSettings,
    LimitsSettings,
    MirrorSettings,
    SelectSettings,
    Settings,
    UpstreamSettings,
)
from mirrorsync.errors import BadConfig
from mirrorsync.model.identity import ProjectName

OPERATOR = MirrorSettings(directory=Path("/srv/pypi"), contact="ops@site.test")
AN_INDEX = "https://index.test"


@pytest.mark.parametrize("contact", ["ops@site.test", "https://site.test/mirror"])
def test_an_email_or_web_address_is_a_contact(contact: str) -> None:
    assert MirrorSettings(directory=Path("/srv/pypi"), contact=contact).contact == contact


@pytest.mark.parametrize("contact", ["", " ", "me", "ops@site.test\r\nX-Evil: 1", "ops@sité.test", "ftp://site.test"])
def test_a_contact_that_nobody_could_use_or_no_header_could_hold_is_refused(contact: str) -> None:
    with pytest.raises(BadConfig, match="contact is"):
        MirrorSettings(directory=Path("/srv/pypi"), contact=contact)


@pytest.mark.parametrize("directory", ["mirror", "/srv/\x1b[2J", "/srv/a\nb"])
def test_a_directory_that_is_relative_or_unprintable_is_refused(directory: str) -> None:
    with pytest.raises(BadConfig, match="directory is"):
        MirrorSettings(directory=Path(directory), contact="ops@site.test")


def test_the_placeholder_contact_is_refused_towards_pypi_and_nowhere_else() -> None:
    placeholder = MirrorSettings(directory=Path("/srv/pypi"), contact=PLACEHOLDER_CONTACT)
    with pytest.raises(BadConfig, match="placeholder"):
        Settings(mirror=placeholder)
    elsewhere = Settings(mirror=placeholder, upstream=UpstreamSettings(index=AN_INDEX))
    assert elsewhere.mirror.contact == PLACEHOLDER_CONTACT


def test_pypi_is_polled_once_a_minute_at_most_and_an_own_index_as_often_as_wanted() -> None:
    with pytest.raises(BadConfig, match="poll-interval is 59s"):
        UpstreamSettings(poll_interval=59.0)
    assert UpstreamSettings(poll_interval=0.1, index=AN_INDEX).poll_interval == 0.1
    with pytest.raises(BadConfig, match="more than 0s"):
        UpstreamSettings(poll_interval=0.0, index=AN_INDEX)


@pytest.mark.parametrize("index", ["http://index.test", "HTTP://index.test"])
def test_plain_http_is_followed_only_when_asked_for(index: str) -> None:
    with pytest.raises(BadConfig) as caught:
        UpstreamSettings(index=index)
    assert "allow-http = true" in caught.value.hint
    assert UpstreamSettings(index=index, allow_http=True).index == index


def test_base_urls_lose_their_last_slash() -> None:
    assert UpstreamSettings(index=f"{AN_INDEX}/root/").index == f"{AN_INDEX}/root"
    assert ContentSettings(root_url="http://mirror.test:8080/").root_url == "http://mirror.test:8080"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "PyPI",
        "index.test",
        "ftp://index.test",
        "https://",
        "https://index.test/?a=b",
        "https://index.test/#a",
        "https://index.test/a b",
        "https://index\t.test",
        "https://[::1",
        "https://index.test:port",
        "https://index.test:99999",
    ],
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    with pytest.raises(BadConfig, match="index is"):
        UpstreamSettings(index=url)
    with pytest.raises(BadConfig, match="root-url is"):
        ContentSettings(root_url=url)


def test_a_password_in_the_index_is_refused_and_not_repeated() -> None:
    with pytest.raises(BadConfig, match="must not contain secrets") as caught:
        UpstreamSettings(index="https://user:hunter2@index.test")
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_a_proxys_password_is_kept_for_the_client_and_out_of_every_representation() -> None:
    settings = UpstreamSettings(proxy="http://user:hunter2@proxy.test:3128")
    assert settings.proxy == "http://user:hunter2@proxy.test:3128"
    assert "hunter2" not in repr(settings)
    assert "proxy.test:3128" in repr(settings)


@pytest.mark.parametrize(
    "url",
    ["http://u:hunter2@h", "u:hunter2@h", "http:/u:hunter2@h", "http://u:hunter2@h/a://b@c", "http://u:hunter2@@h"],
)
def test_no_form_of_url_shows_its_password(url: str) -> None:
    assert "hunter2" not in redacted(url)


@pytest.mark.parametrize("host", ["files.test", "127.0.0.1:8080", "[::1]:8080", "FILES.test"])
def test_a_host_with_or_without_a_port_is_a_file_host(host: str) -> None:
    assert UpstreamSettings(file_hosts=(host,)).file_hosts == (host.lower(),)


@pytest.mark.parametrize("host", ["", "https://files.test", "files.test/path", "files.test:0", "files.test:70000", "*"])
def test_what_is_no_host_is_refused_as_a_file_host(host: str) -> None:
    with pytest.raises(BadConfig, match="file-hosts has"):
        UpstreamSettings(file_hosts=(host,))


def test_project_names_are_normalised_each_once_and_in_order() -> None:
    given = tuple(ProjectName(text) for text in ("Zope.Interface", "numpy", "zope_interface"))
    assert SelectSettings(projects=given).projects == ("zope-interface", "numpy")


@pytest.mark.parametrize("name", ["numpy==2", "foo*", "-x", "", "é"])
def test_a_name_that_no_project_can_have_is_refused_by_name(name: str) -> None:
    with pytest.raises(BadConfig, match="exclude has") as caught:
        SelectSettings(exclude=(ProjectName(name),))
    assert repr(name) in caught.value.what


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        OPERATOR.contact = "other@site.test"  # type: ignore[misc]  # the test is that it fails


def test_the_defaults_give_no_cause_for_a_warning() -> None:
    assert warnings(Settings(mirror=OPERATOR)) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"upstream": UpstreamSettings(connections=11)}, "connections is 11: PyPI asks mirrors to use at most 10"),
        ({"upstream": UpstreamSettings(index="http://index.test", allow_http=True)}, "anyone on the network path"),
        ({"limits": LimitsSettings(min_free=0)}, "until the disk is full"),
        ({"limits": LimitsSettings(removal_grace=0.0)}, "removal-grace is 0s"),
        ({"content": ContentSettings(files=False)}, "min-free (20 GiB) has no effect"),
        (
            {"select": SelectSettings(projects=(ProjectName("numpy"),), exclude=(ProjectName("NumPy"),))},
            "numpy: in both projects and exclude",
        ),
    ],
)
def test_what_is_allowed_and_probably_not_meant_is_warned_of_once(changes: dict[str, object], words: str) -> None:
    (warning,) = warnings(msgspec.structs.replace(Settings(mirror=OPERATOR), **changes))
    assert words in warning
