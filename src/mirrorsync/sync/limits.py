"""How much may go in one run before a person must agree (I5)."""

from typing import Final

from mirrorsync.errors import TooManyDeletions
from mirrorsync.model.units import format_size
from mirrorsync.state.progress import Weight
from mirrorsync.sync.policy import Policy

_WINDOW: Final = 86400.0
"""Seconds after which a daemon's limits count from zero again."""
_CONSENT: Final = (
    "nothing of it was removed, everything else goes on. `mirrorsync sync --dry-run` shows what would go; if upstream"
    " really removed it, agree once with `mirrorsync sync --allow-removals`, or raise [limits]"
)


class RemovalBudget:
    """What one run may still remove before a person must agree."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._spent = Weight(projects=0, files=0, size=0)
        self._since = 0.0

    def spend(self, weight: Weight, what: str, *, now: float) -> None:
        """Count `weight` as removed. Raises: TooManyDeletions, counting nothing, when it is beyond the limits."""
        if now - self._since > _WINDOW:
            self._spent, self._since = Weight(projects=0, files=0, size=0), now
        policy = self._policy
        after = Weight(
            projects=self._spent.projects + weight.projects,
            files=self._spent.files + weight.files,
            size=self._spent.size + weight.size,
        )
        beyond = (
            after.projects > policy.max_removed_projects
            or after.files > policy.max_removed_files
            or after.size > policy.max_removed_bytes
        )
        if beyond and not policy.allow_removals:
            raise TooManyDeletions(
                f"{what}: {weight.projects} projects, {weight.files} files and {format_size(weight.size)} would go",
                why=f"after what went already, that is beyond the limits of {policy.max_removed_projects} projects,"
                f" {policy.max_removed_files} files and {format_size(policy.max_removed_bytes)}",
                hint=_CONSENT,
            )
        self._spent = after
