"""What an upstream says has happened: journal rows and root lists, as values."""

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
    """False for roles and invitations, which move the serial and leave the page as it is."""


class ChangeBatch(msgspec.Struct, frozen=True):
    """One answer of the journal. Rows that name no project are left out but counted in `upto`."""

    upto: Serial
    """The last row's serial: where the cursor stands once this batch is ingested."""
    changes: tuple[Change, ...]


class Listed(msgspec.Struct, frozen=True):
    """One project in the root list."""

    name: ProjectName
    display_name: str
    serial: Serial | None


class SnapshotPart(msgspec.Struct, frozen=True):
    """Some of the root list. The list is whole only when the iteration ends without an error."""

    serial: Serial | None
    """The list's own serial, None in parts that come before it is known or when there is none."""
    projects: tuple[Listed, ...]
