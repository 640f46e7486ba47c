"""The projects that a mirror carries, and the part of their pages: only what it can serve (invariant I1)."""

import hashlib
from typing import Final

import msgspec

from mirrorsync.model.identity import ProjectName, is_segment
from mirrorsync.model.page import DistFile, ProjectPage

_SIDECAR_SUFFIX: Final = ".metadata"


class Selection(msgspec.Struct, frozen=True):
    """Exact normalised names. `exclude` overrides `projects`."""

    projects: frozenset[ProjectName] = frozenset()
    """Empty: every project of the index."""
    exclude: frozenset[ProjectName] = frozenset()

    def selects(self, name: ProjectName) -> bool:
        """Return whether the mirror carries `name`."""
        return name not in self.exclude and (not self.projects or name in self.projects)

    @property
    def names_only(self) -> bool:
        """Whether the mirror carries named projects only, and does not need the root list."""
        return bool(self.projects)

    @property
    def names(self) -> frozenset[ProjectName]:
        """The named projects; empty where the mirror carries every project of the index."""
        return self.projects - self.exclude

    def fingerprint(self) -> str:
        """Return 64 hex digits, equal for equal selections in every process and on every machine."""
        rules = {"projects": sorted(self.projects), "exclude": sorted(self.exclude)}
        return hashlib.sha256(msgspec.json.encode(rules, order="sorted")).hexdigest()


def without_unstored_sidecars(page: ProjectPage, *, metadata: bool) -> ProjectPage:
    """Return the page without the sidecars that this mirror does not store.

    It stores none where `metadata` is False, and none whose name has more than 255 bytes: PyPI has file names of 249.
    Source: PEP 658, Linux NAME_MAX.
    """
    if all(_keeps_sidecar(file, metadata=metadata) for file in page.files):
        return page
    files = tuple(
        file if _keeps_sidecar(file, metadata=metadata) else msgspec.structs.replace(file, core_metadata=None)
        for file in page.files
    )
    return msgspec.structs.replace(page, files=files)


def _keeps_sidecar(file: DistFile, *, metadata: bool) -> bool:
    return file.core_metadata is None or (metadata and is_segment(file.filename + _SIDECAR_SUFFIX))
