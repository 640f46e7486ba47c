"""What the operator wants of the mirror, in the pipeline's terms."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from mirrorsync.model.page import DistFile
from mirrorsync.ports import Sink
from mirrorsync.select.rules import Selection
from mirrorsync.simple import layout


class Policy(msgspec.Struct, frozen=True):
    """What the operator wants of the mirror."""

    selection: Selection
    files: bool = True
    metadata: bool = True
    legacy_json: bool = False
    gzip: bool = False
    """Each page of the index has a compressed sibling."""
    root_url: str | None = None
    removal_grace: float = 86400.0
    """Seconds that an object is kept after the last page that names it is replaced."""
    max_removed_projects: int = 1000
    max_removed_files: int = 100_000
    max_removed_bytes: int = 500 * 2**30
    allow_removals: bool = False
    """A person agreed to removals beyond the limits, for this run."""
    needs_journal: bool = False
    """The operator accepts only the journal as the list of changes (`feed = "xmlrpc"`)."""
    audit_period: float = 30 * 86400.0
    """Seconds in which every project is requested once, although no serial demands it."""
    poll_interval: float = 60.0
    """Seconds between two polls of upstream while it works."""
    list_interval: float = 86400.0
    """Seconds between two readings of the root list in addition to the journal."""
    workers: int = 40
    """Projects in flight at once: more than connections, since each also waits for the disk."""

    def link(self, file: DistFile) -> str:
        """Return the link for `file` in a page: its path in this tree, or upstream's URL if the mirror has no files."""
        if not self.files:
            return file.url
        if self.root_url is not None:
            return layout.absolute_link(self.root_url, file)
        return layout.relative_link(file)

    def content_fingerprint(self) -> str:
        """Return a digest of everything that changes the text of pages or their siblings."""
        settings = (1, self.files, self.metadata, self.legacy_json, self.root_url)
        # Without siblings nothing is added, so that the digests which existing mirrors have recorded stay valid.
        return hashlib.sha256(repr((*settings, "gzip") if self.gzip else settings).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class NotifyConfig:
    """Which sinks are notified of public changes, and how often."""

    sinks: Sequence[Sink] = ()
    interval: float = 1.0
    """Seconds for which the daemon collects changes for one announcement."""
    flood: int = 5000
    """Changes waiting for one sink, above which it is notified that anything may have changed."""
