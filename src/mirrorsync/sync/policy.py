"""What the operator wants of the mirror, as the pipeline asks for it."""

import hashlib

import msgspec

from mirrorsync.model.page import DistFile
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
    """Seconds that an object stays after no page names it."""
    max_removed_projects: int = 1000
    max_removed_files: int = 100_000
    max_removed_bytes: int = 500 * 2**30
    allow_removals: bool = False
    """A person has agreed to removals beyond the limits, for this run."""
    needs_journal: bool = False
    """The operator wants the journal or nothing (`feed = "xmlrpc"`)."""
    audit_period: float = 30 * 86400.0
    """Seconds in which every project is asked for once, though no serial demands it."""
    poll_interval: float = 60.0
    """Seconds between two looks at upstream while all is well."""
    list_interval: float = 86400.0
    """Seconds between two readings of the root list beside the journal."""
    workers: int = 40
    """Projects under way at once: more than connections, since each also waits for the disk."""

    def link(self, file: DistFile) -> str:
        """Return what a page says for `file`: its place in this tree, or upstream's own URL if we hold no files."""
        if not self.files:
            return file.url
        if self.root_url is not None:
            return layout.absolute_link(self.root_url, file)
        return layout.relative_link(file)

    def content_fingerprint(self) -> str:
        """Return a digest of all that changes the pages' text or siblings, so that another policy is noticed."""
        said = (1, self.files, self.metadata, self.legacy_json, self.root_url)
        # Nothing is added where there are no siblings: what mirrors have noted so far stays true.
        return hashlib.sha256(repr((*said, "gzip") if self.gzip else said).encode()).hexdigest()[:16]
