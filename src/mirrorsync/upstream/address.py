"""The address of an index: the only module that knows PyPI's, which it takes from pip."""

import re
from typing import Final

import msgspec
from pip._internal.models.index import PyPI  # pip defines it; a test checks that the name exists

from mirrorsync.errors import BadConfig
from mirrorsync.upstream.http.url import Url, UrlError, authority, parse

PYPI_NAME: Final = "pypi"
"""The configured name of PyPI itself."""
_HINT: Final = 'index = "pypi", or the base URL of an index: https://HOST, without /simple/'


_HOST: Final = re.compile(rb"[A-Za-z0-9._:-]+")


class Address(msgspec.Struct, frozen=True):
    """An index, resolved."""

    base_url: str
    """Without a trailing slash; `/simple/` and `/pypi` are below it."""
    identity: str
    """The base URL, recorded with the mirror, so that both names of PyPI are one identity."""
    host: str
    """The host, with the port if it is not the default."""
    file_hosts: frozenset[str]
    """The hosts of the index's files, unless the configuration names others."""
    is_pypi: bool


def resolve(index: str) -> Address:
    """Return the address of `index`, without a trailing `/simple/`.

    Raises: BadConfig, if it is neither `pypi` nor a plain http(s) base URL, or if it is PyPI's URL.
    """
    url = _parse(PyPI.url if index == PYPI_NAME else index)
    host = authority(url)
    base_url = f"{url.scheme}://{host}{url.path.rstrip('/').removesuffix('/simple')}".rstrip("/")
    is_pypi = base_url == PyPI.url.rstrip("/")
    if is_pypi and index != PYPI_NAME:
        raise BadConfig(
            f"[upstream] index is {index[:100]!r}",
            why="that is PyPI, which has rules of its own (one poll a minute, a contact)",
            hint=f'write index = "{PYPI_NAME}"',
        )
    file_hosts = frozenset({host, PyPI.file_storage_domain}) if is_pypi else frozenset({host})
    return Address(base_url=base_url, identity=base_url, host=host, file_hosts=file_hosts, is_pypi=is_pypi)


def host_of(text: str) -> str:
    """Return a configured `HOST` or `HOST:PORT` in the form of a parsed URL (lower case, IDNA).

    Raises: BadConfig.
    """
    try:
        url = parse(f"https://{text}/")
    except UrlError as error:
        raise BadConfig(f"file host {text[:100]!r} is not a host", why=str(error)) from error
    if not _HOST.fullmatch(url.raw_host) or url.userinfo or url.raw_path != b"/" or url.fragment:
        raise BadConfig(f"file host {text[:100]!r} is not a host", hint='write HOST or HOST:PORT, without "https://"')
    return authority(url)


def _parse(text: str) -> Url:
    try:
        url = parse(text)
    except UrlError as error:
        raise BadConfig(f"index {text[:100]!r} is not a URL", why=str(error), hint=_HINT) from error
    if url.scheme not in ("https", "http") or not _HOST.fullmatch(url.raw_host):
        raise BadConfig(f"index {text[:100]!r} is not a base URL", hint=_HINT)
    if url.userinfo or url.query or url.fragment:
        raise BadConfig("index has credentials, a query or a fragment in its URL", hint=_HINT)
    return url
