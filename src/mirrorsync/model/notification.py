"""What changed in public: what caches in front of the mirror, and whoever else asked, are told of."""

from typing import Final, Literal

import msgspec

from mirrorsync.model.identity import Serial

Scope = Literal["index", "files"]
"""Half of the tree: pages (`/simple/`, `/pypi/`), or files (`/packages/`)."""
INDEX: Final[Scope] = "index"
FILES: Final[Scope] = "files"


class PublicChange(msgspec.Struct, frozen=True):
    """One thing that clients see differently from now on."""

    kind: Literal["project", "root", "file"]
    name: str
    """The project's name; of a file, its path below the served tree; of the root index, nothing."""
    paths: tuple[str, ...]
    """The URL paths that clients ask for, quoted, each from its first `/`."""
    key: str
    """The surrogate key (cache tag) that all of them carry: `simple-<name>`, `simple-root`, `file-<64 hex>`."""


class Announcement(msgspec.Struct, frozen=True):
    """What is told in one go. Hearing it twice does no harm."""

    changes: tuple[PublicChange, ...] = ()
    everything: tuple[Scope, ...] = ()
    """What of the tree may have changed anywhere, beside `changes`: too much to be named."""
    serial: Serial | None = None
    """Up to which everything is served, as it is told; None where upstream has no such thing."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The surrogate keys of all that changed; `simple` and `packages` are carried by all of the index or files."""
        whole = tuple("simple" if scope == INDEX else "packages" for scope in self.everything)
        return (*whole, *dict.fromkeys(change.key for change in self.changes))
