"""What a single configured value must be; each rule returns the value in its one right form or says what is wrong."""

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
    """A URL that may hold a password, which its `repr` leaves out."""

    __slots__ = ()

    @property
    def shown(self) -> str:
        """What may be shown of it."""
        return redacted(self)

    def __repr__(self) -> str:
        return repr(self.shown)


class PrivateUrl(SecretUrl):
    """A URL whose path lets in whoever knows it: its host alone is shown."""

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
    """Return `text`, when it can stand in a User-Agent as an e-mail address or a web address."""
    if not text.strip():
        raise BadConfig(
            "[mirror] contact is empty",
            why="the index's administrators must be able to reach whoever runs the mirror",
            hint='write an e-mail or web address: contact = "you@your-site.example"',
        )
    if not _is_plain(text) or not (_EMAIL.fullmatch(text) or _is_web_address(text)):
        raise BadConfig(
            f"[mirror] contact is {text[:80]!r}",
            why="it is neither an e-mail address nor a web address",
            hint='write it like contact = "you@your-site.example" or "https://your-site.example/mirror"',
        )
    return text


def mirror_name(text: str) -> str:
    """Return `text`, when it can stand as a heading: not empty, one line, short."""
    if not text.strip() or not text.isprintable() or len(text) > _NAME_MAX:
        raise BadConfig(
            f"[mirror] name is {text[:80]!r}",
            why=f"it must be one line of 1 to {_NAME_MAX} visible characters",
            hint='write it like name = "mirror.example.edu"',
        )
    return text


def index(text: str) -> str:
    """Return `text`: the word "pypi", or an index's base URL without its last slash."""
    if text == "pypi":
        return text
    hint = (
        'write "pypi", or the base URL of an index such as "https://index.example.edu"; /simple/ is looked for below it'
    )
    return _base_url("[upstream] index", text, hint)


def root_url(text: str) -> str:
    """Return `text`, the URL at which this mirror is served, without its last slash."""
    return _base_url("[content] root-url", text, 'write it like root-url = "https://mirror.example.edu"')


def address(key: str, text: str) -> str:
    """Return `text`, the base URL of a site or a cache, without its last slash."""
    return _base_url(key, text, "write it like https://mirror.example.edu")


def private_address(key: str, text: str) -> str:
    """Return `text`, the URL of whoever gets what nobody on the way may read: https, or http on this machine."""
    parts = _split(text)
    if parts is None or "@" in parts.netloc or "#" in text:
        # The address itself is not repeated: many a service puts a secret into it.
        raise BadConfig(
            f"{key} is not a web address that can be used", hint="write it like https://hooks.example.edu/x"
        )
    if parts.scheme == "http" and parts.hostname not in {"127.0.0.1", "::1", "localhost"}:
        raise BadConfig(
            f"{key} begins with http://",
            why="anyone on the way could read and alter what is sent",
            hint="use https://; http:// is for this machine alone",
        )
    return text


def proxy(text: str) -> SecretUrl:
    """Return `text`, an http or https proxy's URL, which may hold a user name and password."""
    parts = _split(text)
    if parts is None or parts.query or parts.fragment or parts.path not in {"", "/"}:
        raise BadConfig(
            f"[upstream] proxy is {redacted(text)[:80]!r}",
            why="it is not the http or https URL of a proxy",
            hint='write it like proxy = "http://proxy.example.edu:3128"',
        )
    return SecretUrl(text)


def file_host(text: str) -> str:
    """Return `text`, a host or host:port, in lower case."""
    match = _HOST.fullmatch(text.lower())
    if match is None or int(match[1] or 1) not in range(1, _PORT_MAX + 1):
        raise BadConfig(
            f"[upstream] file-hosts has {redacted(text)[:80]!r}",
            why="it is neither a host nor a host and port",
            hint='write hosts only, without https:// and path: file-hosts = ["files.example.edu", "127.0.0.1:8080"]',
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
        why = "a user name or password stands in it, and this file holds no secrets"
        raise BadConfig(f"{key} is {redacted(text)[:80]!r}", why=why, hint=hint)
    if "?" in text or "#" in text:
        why = "a base URL has no '?' and no '#'"
        raise BadConfig(f"{key} is {text[:80]!r}", why=why, hint=hint)
    return text.rstrip("/")


def _is_web_address(text: str) -> bool:
    parts = _split(text)
    return parts is not None and "@" not in parts.netloc


def _split(text: str) -> SplitResult | None:
    """Split an http(s) URL that has a host and a possible port; None for anything else."""
    if not _is_plain(text):
        return None
    try:
        parts = urlsplit(text)
        fit = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an unfinished [IPv6] address, a port that is no number
        return None
    return parts if fit else None


def _is_plain(text: str) -> bool:
    """Tell whether `text` is visible ASCII: urlsplit drops tabs and line ends silently, headers cannot hold them."""
    return text.isascii() and text.isprintable() and " " not in text
