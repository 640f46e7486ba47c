"""Whether a project is gone: never on the word of one witness (I5)."""

from typing import Final

from mirrorsync.state.progress import ProjectRow
from mirrorsync.sync.context import SyncContext

REPEAT_AFTER: Final = 180.0
"""Seconds after which a second 404 is another answer and not the same cached one (PyPI's CDN: 60 s a layer)."""


async def second_witness(context: SyncContext, work: ProjectRow) -> str:
    """Return who besides the page's 404 says that the project is gone; empty while nobody does.

    The journal's last word counts at once: malware must go fast. Anything else needs the 404 to be repeated.
    Raises: what `Upstream.is_absent` raises.
    """
    if work.said_removed:
        return "removed upstream: the journal says so and the page is gone"
    if work.gone_at is None or context.clock() - work.gone_at < REPEAT_AFTER:
        return ""
    if work.unlisted:
        return "removed upstream: the root list leaves it out and the page is gone"
    if work.name in context.policy.selection.projects and not work.present:
        return ""  # a name that never was: the operator's spelling, to be seen in `status` until it is mended
    if await context.upstream.is_absent(work.name):
        return "removed upstream: neither page nor release data is there any more"
    return ""
