"""Changes of the served tree, for caches in front of the mirror and other receivers."""

from typing import Final, Literal

import msgspec

from mirrorsync.model.identity import Serial

Scope = Literal["index", "files"]
"""Half of the tree: pages (`/simple/`, `/pypi/`), or files (`/packages/`)."""
INDEX: Final[Scope] = "index"
FILES: Final[Scope] = "files"


class PublicChange(msgspec.Struct, frozen=True):
    """A project, a file or the root index whose served form has changed."""

    kind: Literal["project", "root", "file"]
    name: str
    """The project's name, or a file's path below the served tree; empty for the root index."""
    paths: tuple[str, ...]
    """The URL paths that clients request: quoted, with a leading `/`."""
    key: str
    """The surrogate key (cache tag) of these paths: `simple-<name>`, `simple-root`, `file-<64 hex>`."""


class Announcement(msgspec.Struct, frozen=True):
    """The changes of one notification. Receiving it twice is harmless."""

    changes: tuple[PublicChange, ...] = ()
    everything: tuple[Scope, ...] = ()
    """Scopes with too many changes to list; anything in them may have changed."""
    serial: Serial | None = None
    """The synced serial; None where upstream has no serials."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The surrogate keys of all changes. `simple` and `packages` stand for a whole scope."""
        whole = tuple("simple" if scope == INDEX else "packages" for scope in self.everything)
        return (*whole, *dict.fromkeys(change.key for change in self.changes))
