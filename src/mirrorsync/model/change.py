"""Changes as upstream reports them: journal rows and root lists."""

import msgspec

from mirrorsync.model.identity import ProjectName, Serial


class Change(msgspec.Struct, frozen=True):
    """One journal row that names a project (protocol: `changelog_since_serial`)."""

    name: ProjectName
    display_name: str
    """The spelling in the row; each upload may change it."""
    serial: Serial
    removes_project: bool = False
    touches_page: bool = True
    """False for roles and invitations, which move the serial but not the page."""


class ChangeBatch(msgspec.Struct, frozen=True):
    """One response of the journal. Rows without a project are omitted, but count in `upto`."""

    upto: Serial
    """The serial of the last row, and of the cursor after this batch is ingested."""
    changes: tuple[Change, ...]


class Listed(msgspec.Struct, frozen=True):
    """One project in the root list."""

    name: ProjectName
    display_name: str
    serial: Serial | None


class SnapshotPart(msgspec.Struct, frozen=True):
    """A part of the root list. The list is complete only when the iteration ends without an error."""

    serial: Serial | None
    """The serial of the list; None until it has been read, and where the list has none."""
    projects: tuple[Listed, ...]
