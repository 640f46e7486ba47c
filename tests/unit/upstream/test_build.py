"""TLS, proxies and configured values."""

import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from mirrorsync.errors import BadConfig, Malformed, ProjectGone, Unreachable
from mirrorsync.model.page import ProjectPage
from tests.support.pypi.server import PyPI
from tests.support.upstream import request_page
from tests.unit.upstream.opening import open_at

BODY: Final = b'{"meta":{"api-version":"1.4"},"name":"holy","files":[],"versions":[]}'
HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.pypi.simple.v1+json\r\nContent-Length: %d\r\n"
    b"Connection: close\r\n\r\n" % len(BODY)
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ),
            *("-subj", "/CN=mirrorsync test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", made),
        ],
        check=True,
        capture_output=True,
    )
    return made, key


@pytest.fixture
async def secure(certificate: tuple[Path, Path], nursery: trio.Nursery) -> AsyncIterator[str]:
    """The base URL of an index with a certificate of an unknown authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    async def answer(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            request = bytes(await stream.receive_some())
            if b"/simple/moved/" in request:
                away = b"Location: http://127.0.0.1/simple/moved/"
                await stream.send_all(b"HTTP/1.1 301 Moved\r\n" + away + b"\r\nContent-Length: 0\r\n\r\n")
            elif request:
                await stream.send_all(HEAD + BODY)
            await stream.aclose()
        except trio.BrokenResourceError:
            pass  # a client that does not trust the server closes the connection

    listeners: list[Any] = await nursery.start(trio.serve_ssl_over_tcp, answer, 0, context)
    yield f"https://127.0.0.1:{listeners[0].transport_listener.socket.getsockname()[1]}"
    nursery.cancel_scope.cancel()


async def page_at(url: str, name: str = "holy", **words: Any) -> ProjectPage:
    async with open_at(url, **words) as upstream:
        page = await request_page(upstream, name)
    assert isinstance(page, ProjectPage)
    return page


async def test_untrusted_certificate_is_reported_and_not_retried(secure: str) -> None:
    with pytest.raises(Unreachable, match="certificate") as failed:
        await page_at(secure)
    assert "ca-file" in failed.value.hint
    assert "attempts" not in str(failed.value)


async def test_ca_file_makes_a_certificate_trusted(secure: str, certificate: tuple[Path, Path]) -> None:
    assert (await page_at(secure, ca_file=str(certificate[0]))).name == "holy"


async def test_ssl_cert_file_makes_a_certificate_trusted(
    secure: str, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    assert (await page_at(secure)).name == "holy"


async def test_unreadable_certificates_are_a_configuration_error(
    secure: str, pypi: PyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent/ca.pem")
    for allow_http in (False, True):
        with pytest.raises(BadConfig, match="SSL_CERT_FILE"):
            await page_at(secure, allow_http=allow_http)
    with pytest.raises(ProjectGone):  # plain HTTP needs none
        await page_at(pypi.url)


async def test_a_redirect_never_leaves_tls(secure: str, certificate: tuple[Path, Path]) -> None:
    with pytest.raises(Malformed, match="redirects"):
        await page_at(secure, "moved", ca_file=str(certificate[0]))


async def test_plain_http_must_be_allowed(pypi: PyPI) -> None:
    with pytest.raises(BadConfig, match="not https") as refused:
        await page_at(pypi.url, allow_http=False)
    assert "allow-http" in refused.value.hint


@pytest.mark.parametrize(
    "words",
    [
        {"proxy": "nonsense"},
        {"proxy": "ftp://127.0.0.1:1"},
        {"ca_file": "/nonexistent/ca.pem"},
        {"ca_file": __file__},
        {"contact": ""},
        {"contact": "me\r\nX: y"},
        {"contact": "mé@example.test"},
        {"file_hosts": ["https://files.test/"]},
    ],
    ids=range(8),
)
async def test_unusable_values_are_a_configuration_error(pypi: PyPI, words: dict[str, Any]) -> None:
    with pytest.raises(BadConfig):
        await page_at(pypi.url, **words)


async def test_unreachable_proxy_is_named_as_the_cause(pypi: PyPI) -> None:
    with pytest.raises(Unreachable) as failed:
        await page_at(pypi.url, proxy="http://127.0.0.1:1")
    assert "proxy" in failed.value.hint
    assert pypi.requests == []
