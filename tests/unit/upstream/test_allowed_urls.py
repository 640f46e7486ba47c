from typing import Final

import httpx
import pytest

from mirrorsync.errors import Malformed, Refused
from mirrorsync.upstream.http.allowed_urls import AllowedUrls

GATE: Final = AllowedUrls(index_hosts=frozenset({"index.test"}), file_hosts=frozenset({"files.test", "index.test"}))
LAX: Final = AllowedUrls(index_hosts=GATE.index_hosts, file_hosts=GATE.file_hosts, allow_http=True)
PAGE: Final = httpx.URL("https://index.test/simple/foo-bar/")
HOSTILE: Final = (
    "https://evil.test/x.whl",
    "https://files.test.evil.test/x.whl",
    "https://files.test@evil.test/x.whl",
    "https://user:secret@files.test/x.whl",
    "https://files.test:22/x.whl",
    "https://files.test:0/x.whl",
    "https://files.test:99999/x.whl",
    "https://files.test\\@evil.test/x.whl",
    "https://files.test./x.whl",
    "https://evil.test\\files.test/x.whl",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::1]/x.whl",
    "http://files.test/x.whl",
    "file:///etc/passwd",
    "ftp://files.test/x.whl",
    "//files.test/x.whl",
    "x.whl",
    "https:///x.whl",
    "https:files.test/x.whl",
    "",
    "https://files.test/\r\nHost: evil.test",
    "https://files.test\x00.evil.test/",
    "https://ﬁles.test/x.whl\x7f",
    "javascript:alert(1)",
    "https://" + "a" * 100_000,
    "https://[::1",
    "https://xn--/",
)


@pytest.mark.parametrize("url", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_file_url_is_refused(url: str) -> None:
    with pytest.raises(Refused) as refused:
        GATE.file(url)
    assert "secret" not in str(refused.value)
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize(
    "url", ["https://files.test/a/b%20c+d.whl", "HTTPS://FILES.TEST:443/x", "https://index.test/y"]
)
def test_file_on_an_allowed_host_is_allowed(url: str) -> None:
    assert GATE.file(url).host in ("files.test", "index.test")


def test_plain_http_is_refused_unless_allowed() -> None:
    assert LAX.file("http://files.test/x.whl").scheme == "http"
    with pytest.raises(Refused, match="not https"):
        GATE.file("http://files.test/x.whl")


def test_a_file_redirect_never_leaves_tls_even_where_http_is_allowed() -> None:
    with pytest.raises(Refused, match="TLS"):
        LAX.file_redirect(httpx.URL("https://files.test/x"), "http://files.test/x")


def test_a_file_redirect_leads_to_allowed_hosts_only() -> None:
    origin = httpx.URL("https://index.test/x")
    assert str(GATE.file_redirect(origin, "//files.test/y")) == "https://files.test/y"
    assert str(GATE.file_redirect(origin, "/y")) == "https://index.test/y"
    with pytest.raises(Refused):
        GATE.file_redirect(origin, "https://evil.test/y")


@pytest.mark.parametrize(
    "location", ["/simple/Foo_Bar/", "https://index.test/simple/foo.bar/", "../FOO-bar/", "/simple/foo-bar"]
)
def test_a_page_redirect_to_another_spelling_is_followed(location: str) -> None:
    assert GATE.page_redirect(PAGE, location).host == "index.test"


@pytest.mark.parametrize(
    "location",
    [
        "/simple/foo/",
        "/login",
        "/",
        "https://evil.test/simple/foo-bar/",
        "https://files.test/simple/foo-bar/",
        "http://index.test/simple/foo-bar/",
        "https://index.test:8443/simple/foo-bar/",
        "https://a:b@index.test/simple/foo-bar/",
        "/simple/foo-bar/%2e%2e/evil/",
        "\x00",
    ],
)
def test_a_page_redirect_to_anything_else_is_not_followed(location: str) -> None:
    with pytest.raises(Malformed):
        GATE.page_redirect(PAGE, location)
