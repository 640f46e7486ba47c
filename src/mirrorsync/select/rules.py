"""Which projects a mirror carries."""

import hashlib

import msgspec

from mirrorsync.model.identity import ProjectName


class Selection(msgspec.Struct, frozen=True):
    """Exact names, normalised. What is excluded is out, whether it is named in `projects` or not."""

    projects: frozenset[ProjectName] = frozenset()
    """Empty: every project of the index."""
    exclude: frozenset[ProjectName] = frozenset()

    def selects(self, name: ProjectName) -> bool:
        """Tell whether the mirror carries `name`."""
        return name not in self.exclude and (not self.projects or name in self.projects)

    @property
    def names_only(self) -> bool:
        """Whether the mirror carries named projects only, so that the index's root list need not be fetched."""
        return bool(self.projects)

    @property
    def names(self) -> frozenset[ProjectName]:
        """The names to be asked for; empty where the mirror carries every project of the index."""
        return self.projects - self.exclude

    def fingerprint(self) -> str:
        """Return 64 hex digits, the same for equal selections in every process and on every machine."""
        rules = {"projects": sorted(self.projects), "exclude": sorted(self.exclude)}
        return hashlib.sha256(msgspec.json.encode(rules, order="sorted")).hexdigest()
