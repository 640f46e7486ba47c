"""The contents of a PyPI as frozen values: files, pages, journal rows; and the capabilities of an index."""

import functools
import hashlib
import re

import msgspec
from packaging.version import InvalidVersion, Version


class Shape(msgspec.Struct, frozen=True):
    """The capabilities of an index; the defaults are PyPI's."""

    xmlrpc: bool = True
    root_json: bool = True
    """False: the root list answers 404."""
    etags: bool = True
    serials: bool = True
    """False: no `_last-serial` anywhere, and no SERIAL comment."""
    serial_as_string: bool = False
    serial_headers: bool = True
    sidecar_keys: bool = True
    """False: no core-metadata and provenance keys, and `.metadata` answers 404."""
    project_status: bool = True
    api_version: str = "1.4"
    gzip: bool = True
    """Index answers are compressed for clients that accept it; files never are."""
    files_elsewhere: bool = False
    """Files are served by a second listener."""
    hashed_paths: bool = True
    """False: `/files/<project>/<filename>` in place of `/packages/aa/bb/<60 hex>/<filename>`."""
    relative_urls: bool = False

    @classmethod
    def plain_proxy(cls) -> "Shape":
        """Return the capabilities of a typical caching proxy in front of an index."""
        return cls(
            xmlrpc=False,
            root_json=False,
            etags=False,
            serial_as_string=True,
            serial_headers=False,
            sidecar_keys=False,
            project_status=False,
            api_version="1.1",
        )


class WorldFile(msgspec.Struct, frozen=True):
    """A file and its sidecar, if any."""

    filename: str
    version: str
    content: bytes
    sha256: str
    """Hex."""
    place: str
    """Hex, 64 digits: blake2b-256 of the content."""
    upload_time: str
    metadata: bytes | None = None
    requires_python: str | None = None
    yanked: bool | str = False
    provenance: bool = False

    def __repr__(self) -> str:
        return f"<{self.filename} {self.size} B sha256 {self.sha256[:8]}…>"

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.content)

    @property
    def path(self) -> str:
        """Below the file host's root, unquoted."""
        return f"packages/{self.place[:2]}/{self.place[2:4]}/{self.place[4:]}/{self.filename}"

    @property
    def metadata_sha256(self) -> str | None:
        """Hex, None without a sidecar."""
        return None if self.metadata is None else hashlib.sha256(self.metadata).hexdigest()

    @property
    def python_tag(self) -> str:
        """The Python tag in the journal: `source`, `py3`, `any`."""
        if self.filename.endswith(".whl"):
            return self.filename.rsplit("-", 3)[-3]
        return "any" if self.filename.endswith((".egg", ".exe", ".msi", ".rpm")) else "source"


class Page(msgspec.Struct, frozen=True):
    """A project's page at one time; `revision` is unique in its world."""

    revision: int
    name: str
    """Normalised."""
    display_name: str
    serial: int
    status: str
    files: tuple[WorldFile, ...]
    """The visible files, in PyPI's order."""
    releases: tuple[str, ...]
    """All visible releases, including those without files (the legacy JSON lists them)."""

    @property
    def versions(self) -> tuple[str, ...]:
        """The releases with a visible file."""
        return tuple(sorted({file.version for file in self.files}, key=version_key))


class Row(msgspec.Struct, frozen=True):
    """A journal row."""

    name: str | None
    version: str | None
    timestamp: int
    action: str
    serial: int


class Listed(msgspec.Struct, frozen=True):
    """A project in the root list."""

    name: str
    """Normalised."""
    display_name: str
    serial: int


class Expected(msgspec.Struct, frozen=True):
    """What a complete mirror of the world serves."""

    pages: dict[str, Page]
    """By normalised name: every project with a page, including quarantined ones."""
    root: tuple[Listed, ...]
    """In order of the normalised name; quarantined projects are absent."""
    serial: int
    """The journal's last serial; 0 if it is empty."""


def normalise(name: str) -> str:
    """Source: PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


@functools.lru_cache(maxsize=65_536)
def version_key(text: str) -> tuple[int, Version, str]:
    """Order versions as PyPI does: invalid versions (PEP 440) come first, as text."""
    try:
        return 1, Version(text), text
    except InvalidVersion:
        return 0, Version("0"), text


def file_key(file: WorldFile) -> tuple[tuple[int, Version], str]:
    """Order files as PyPI does: by version (`1.0` equals `1.0.0`), then by file name."""
    kind, version, text = version_key(file.version)
    return (kind, version), file.filename if kind else f"{text}\0{file.filename}"
