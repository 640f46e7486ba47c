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
def test_contact_is_an_email_or_web_address(contact: str) -> None:
    assert MirrorSettings(directory=Path("/srv/pypi"), contact=contact).contact == contact


@pytest.mark.parametrize("contact", ["", " ", "me", "ops@site.test\r\nX-Evil: 1", "ops@sité.test", "ftp://site.test"])
def test_invalid_contact_is_refused(contact: str) -> None:
    with pytest.raises(BadConfig, match="contact is"):
        MirrorSettings(directory=Path("/srv/pypi"), contact=contact)


@pytest.mark.parametrize("directory", ["mirror", "/srv/\x1b[2J", "/srv/a\nb"])
def test_relative_or_unprintable_directory_is_refused(directory: str) -> None:
    with pytest.raises(BadConfig, match="directory is"):
        MirrorSettings(directory=Path(directory), contact="ops@site.test")


def test_placeholder_contact_is_refused_only_for_pypi() -> None:
    placeholder = MirrorSettings(directory=Path("/srv/pypi"), contact=PLACEHOLDER_CONTACT)
    with pytest.raises(BadConfig, match="placeholder"):
        Settings(mirror=placeholder)
    elsewhere = Settings(mirror=placeholder, upstream=UpstreamSettings(index=AN_INDEX))
    assert elsewhere.mirror.contact == PLACEHOLDER_CONTACT


def test_only_pypi_limits_the_poll_interval() -> None:
    with pytest.raises(BadConfig, match="poll-interval is 59s"):
        UpstreamSettings(poll_interval=59.0)
    assert UpstreamSettings(poll_interval=0.1, index=AN_INDEX).poll_interval == 0.1
    with pytest.raises(BadConfig, match="more than 0s"):
        UpstreamSettings(poll_interval=0.0, index=AN_INDEX)


@pytest.mark.parametrize("index", ["http://index.test", "HTTP://index.test"])
def test_plain_http_needs_allow_http(index: str) -> None:
    with pytest.raises(BadConfig) as caught:
        UpstreamSettings(index=index)
    assert "allow-http = true" in caught.value.hint
    assert UpstreamSettings(index=index, allow_http=True).index == index


def test_base_urls_lose_their_trailing_slash() -> None:
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
def test_invalid_base_url_is_refused(url: str) -> None:
    with pytest.raises(BadConfig, match="index is"):
        UpstreamSettings(index=url)
    with pytest.raises(BadConfig, match="root-url is"):
        ContentSettings(root_url=url)


def test_password_in_the_index_is_refused_and_masked() -> None:
    with pytest.raises(BadConfig, match="must not contain secrets") as caught:
        UpstreamSettings(index="https://user:hunter2@index.test")
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_proxy_password_is_kept_and_never_represented() -> None:
    settings = UpstreamSettings(proxy="http://user:hunter2@proxy.test:3128")
    assert settings.proxy == "http://user:hunter2@proxy.test:3128"
    assert "hunter2" not in repr(settings)
    assert "proxy.test:3128" in repr(settings)


@pytest.mark.parametrize(
    "url",
    ["http://u:hunter2@h", "u:hunter2@h", "http:/u:hunter2@h", "http://u:hunter2@h/a://b@c", "http://u:hunter2@@h"],
)
def test_passwords_are_masked_in_any_url(url: str) -> None:
    assert "hunter2" not in redacted(url)


@pytest.mark.parametrize("host", ["files.test", "127.0.0.1:8080", "[::1]:8080", "FILES.test"])
def test_file_host_may_have_a_port(host: str) -> None:
    assert UpstreamSettings(file_hosts=(host,)).file_hosts == (host.lower(),)


@pytest.mark.parametrize("host", ["", "https://files.test", "files.test/path", "files.test:0", "files.test:70000", "*"])
def test_invalid_file_host_is_refused(host: str) -> None:
    with pytest.raises(BadConfig, match="file-hosts has"):
        UpstreamSettings(file_hosts=(host,))


def test_project_names_are_normalised_and_deduplicated() -> None:
    given = tuple(ProjectName(text) for text in ("Zope.Interface", "numpy", "zope_interface"))
    assert SelectSettings(projects=given).projects == ("zope-interface", "numpy")


@pytest.mark.parametrize("name", ["numpy==2", "foo*", "-x", "", "é"])
def test_invalid_project_name_is_refused_by_name(name: str) -> None:
    with pytest.raises(BadConfig, match="exclude has") as caught:
        SelectSettings(exclude=(ProjectName(name),))
    assert repr(name) in caught.value.what


def test_settings_are_immutable() -> None:
    with pytest.raises(AttributeError):
        OPERATOR.contact = "other@site.test"  # type: ignore[misc]  # the test is that it fails


def test_defaults_cause_no_warning() -> None:
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
def test_doubtful_setting_causes_one_warning(changes: dict[str, object], words: str) -> None:
    (warning,) = warnings(msgspec.structs.replace(Settings(mirror=OPERATOR), **changes))
    assert words in warning
