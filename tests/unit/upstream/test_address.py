from typing import Final

import pytest
from pip._internal.models.index import PyPI as PipsPyPI

from mirrorsync.errors import BadConfig
from mirrorsync.upstream.address import host_of, resolve

UNFIT: Final = (
    "",
    "PyPI",
    "index.test",
    "ftp://index.test",
    "https://",
    "https://user:secret@index.test",
    "https://index.test/?a=1",
    "https://index.test/#x",
    "https://index.test:port",
    "https://index\x00.test",
)


def test_pypi_has_the_address_that_pip_knows() -> None:
    address = resolve("pypi")
    assert address.is_pypi
    assert f"{address.base_url}/simple" == PipsPyPI.simple_url.rstrip("/")
    assert address.file_hosts == {PipsPyPI.netloc, PipsPyPI.file_storage_domain}
    assert address.host == PipsPyPI.netloc


def test_pypi_must_be_configured_by_name() -> None:
    for url in (PipsPyPI.url, PipsPyPI.simple_url):
        with pytest.raises(BadConfig, match="that is PyPI"):
            resolve(url)


@pytest.mark.parametrize(
    "text",
    [
        "https://Index.Test/a",
        "https://index.test:443/a/",
        "HTTPS://INDEX.TEST:443/a",
        "https://index.test/a/simple/",
        "https://index.test/a/simple",
    ],
)
def test_spellings_of_one_base_url_are_one_identity(text: str) -> None:
    address = resolve(text)
    assert address.base_url == address.identity == "https://index.test/a"
    assert address.file_hosts == {"index.test"}
    assert not address.is_pypi


def test_a_port_belongs_to_the_host() -> None:
    assert resolve("http://127.0.0.1:8080/").file_hosts == {"127.0.0.1:8080"}


@pytest.mark.parametrize("text", UNFIT)
def test_anything_but_a_plain_base_url_is_refused(text: str) -> None:
    with pytest.raises(BadConfig) as refused:
        resolve(text)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "https://files.test", "files.test/path", "me@files.test", "files.test:x", "a b"])
def test_file_host_must_be_a_bare_host(text: str) -> None:
    with pytest.raises(BadConfig):
        host_of(text)


def test_file_host_is_normalized_as_in_urls() -> None:
    assert host_of("Files.Test") == host_of("files.test:443") == "files.test"
