"""Rules for single values: each returns the value in its canonical form, or raises BadConfig."""

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from mirrorsync.errors import BadConfig, Malformed
from mirrorsync.model.identity import ProjectName, project_name

_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
_HOST: Final = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?)*|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?"
)
_PORT_MAX: Final = 65535
_NAME_MAX: Final = 100


class SecretUrl(str):
    """A URL that may contain a password; its `repr` masks it."""

    __slots__ = ()

    @property
    def shown(self) -> str:
        """The URL with its password masked."""
        return redacted(self)

    def __repr__(self) -> str:
        return repr(self.shown)


class PrivateUrl(SecretUrl):
    """A URL whose path is a secret; only its host may be shown."""

    __slots__ = ()

    @property
    def shown(self) -> str:
        """Scheme and host, with `***` in place of the rest."""
        parts = urlsplit(self)
        return f"{parts.scheme}://{parts.netloc}/***"


def redacted(url: str) -> str:
    """Return `url` with `***` in place of a user name and password."""
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    return f"{scheme}{separator}***@{rest.rpartition('@')[2]}" if "@" in rest else url


def contact(text: str) -> str:
    """Return `text` if it is an e-mail address or a web address that fits into a User-Agent."""
    if not text.strip():
        raise BadConfig(
            "[mirror] contact is empty",
            why="the index's administrators must be able to reach the mirror's operator",
            hint='set it to an e-mail or web address: contact = "you@your-site.example"',
        )
    if not _is_plain(text) or not (_EMAIL.fullmatch(text) or _is_web_address(text)):
        raise BadConfig(
            f"[mirror] contact is {text[:80]!r}",
            why="it is neither an e-mail address nor a web address",
            hint='for example contact = "you@your-site.example" or "https://your-site.example/mirror"',
        )
    return text


def mirror_name(text: str) -> str:
    """Return `text` if it fits into a heading: one short line that is not empty."""
    if not text.strip() or not text.isprintable() or len(text) > _NAME_MAX:
        raise BadConfig(
            f"[mirror] name is {text[:80]!r}",
            why=f"it must be one line of 1 to {_NAME_MAX} visible characters",
            hint='for example name = "mirror.example.edu"',
        )
    return text


def index(text: str) -> str:
    """Return `text`: the word "pypi", or an index's base URL without its trailing slash."""
    if text == "pypi":
        return text
    hint = 'set it to "pypi" or to the base URL of an index, such as "https://index.example.edu" for /simple/ below it'
    return _base_url("[upstream] index", text, hint)


def root_url(text: str) -> str:
    """Return `text`, the URL at which this mirror is served, without its trailing slash."""
    return _base_url("[content] root-url", text, 'for example root-url = "https://mirror.example.edu"')


def address(key: str, text: str) -> str:
    """Return `text`, the base URL of a site or a cache, without its trailing slash."""
    return _base_url(key, text, "for example https://mirror.example.edu")


def private_address(key: str, text: str) -> str:
    """Return `text`, a URL to which secrets are sent: https, or http on this machine."""
    parts = _split(text)
    if parts is None or "@" in parts.netloc or "#" in text:
        # The error does not repeat the URL: many services put a secret into it.
        raise BadConfig(f"{key} is not a valid web address", hint="for example https://hooks.example.edu/x")
    if parts.scheme == "http" and parts.hostname not in {"127.0.0.1", "::1", "localhost"}:
        raise BadConfig(
            f"{key} starts with http://",
            why="anyone on the network path could read and alter the requests",
            hint="use https://; http:// is allowed for this machine only",
        )
    return text


def proxy(text: str) -> SecretUrl:
    """Return `text`, the URL of an http or https proxy, which may contain a user name and password."""
    parts = _split(text)
    if parts is None or parts.query or parts.fragment or parts.path not in {"", "/"}:
        raise BadConfig(
            f"[upstream] proxy is {redacted(text)[:80]!r}",
            why="it is not the http or https URL of a proxy",
            hint='for example proxy = "http://proxy.example.edu:3128"',
        )
    return SecretUrl(text)


def file_host(text: str) -> str:
    """Return `text`, a host or host:port, in lower case."""
    match = _HOST.fullmatch(text.lower())
    if match is None or int(match[1] or 1) not in range(1, _PORT_MAX + 1):
        raise BadConfig(
            f"[upstream] file-hosts has {redacted(text)[:80]!r}",
            why="it is neither a host nor a host and port",
            hint='write hosts only, without https:// and paths: file-hosts = ["files.example.edu", "127.0.0.1:8080"]',
        )
    return text.lower()


def project_names(key: str, texts: tuple[str, ...]) -> tuple[ProjectName, ...]:
    """Return `texts` as normalised names in their order, each once."""
    names = []
    for text in texts:
        try:
            names.append(project_name(text))
        except Malformed as error:
            raise BadConfig(
                f"[select] {key} has {text[:80]!r}",
                why="it is not a project name (letters, digits, '.', '-' and '_'; no patterns, no versions)",
                hint=f'write exact names: {key} = ["numpy", "requests"]',
            ) from error
    return tuple(dict.fromkeys(names))


def _base_url(key: str, text: str, hint: str) -> str:
    parts = _split(text)
    if parts is None:
        raise BadConfig(f"{key} is {redacted(text)[:80]!r}", why="it is not an http or https URL", hint=hint)
    if "@" in parts.netloc:
        why = "it contains a user name or password, and this file must not contain secrets"
        raise BadConfig(f"{key} is {redacted(text)[:80]!r}", why=why, hint=hint)
    if "?" in text or "#" in text:
        why = "a base URL contains no '?' and no '#'"
        raise BadConfig(f"{key} is {text[:80]!r}", why=why, hint=hint)
    return text.rstrip("/")


def _is_web_address(text: str) -> bool:
    parts = _split(text)
    return parts is not None and "@" not in parts.netloc


def _split(text: str) -> SplitResult | None:
    """Split an http(s) URL with a host and a valid port; return None for anything else."""
    if not _is_plain(text):
        return None
    try:
        parts = urlsplit(text)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an unclosed [IPv6] address, or a port that is not a number
        return None
    return parts if valid else None


def _is_plain(text: str) -> bool:
    """Return whether `text` is visible ASCII. urlsplit drops tabs and line ends, which headers cannot contain."""
    return text.isascii() and text.isprintable() and " " not in text
