"""A dry run: what a pass would do."""

from collections.abc import Sequence
from typing import Final

import msgspec

from mirrorsync.errors import MirrorsyncError, ProjectGone
from mirrorsync.model.identity import ProjectName
from mirrorsync.model.page import PageRequest, PageResult, ProjectPage, Unchanged
from mirrorsync.model.wording import counted
from mirrorsync.select.rules import without_unstored_sidecars
from mirrorsync.state.progress import ProjectRow, Weight
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.ingest import ingest
from mirrorsync.sync.worker_pool import BATCH

_REQUESTED: Final = 1000
"""Projects whose pages a dry run requests; of the others it reports only the number."""


class Step(msgspec.Struct, frozen=True):
    """What would be done for one project."""

    name: ProjectName
    files: int = 0
    bytes: int = 0
    vanishing: int = 0
    """Objects that the page no longer names."""
    says: str = ""
    """Anything else: the project is gone upstream, or the request failed."""


class Plan(msgspec.Struct, frozen=True):
    """What a pass would do."""

    projects: int
    """Projects that are due."""
    steps: tuple[Step, ...]
    """Those that were requested."""
    leaving: Weight = Weight(projects=0, files=0, size=0)
    """What is no longer selected, and would be removed."""


async def make_plan(context: SyncContext, names: Sequence[ProjectName]) -> Plan:
    """Return what a pass would do, with the same requests to upstream. It writes to `context.state`, which is a copy.

    Raises: as `ingest`.
    """
    leaving: Sequence[ProjectName] = ()
    if names:
        await context.state.add_projects(names)
        found = [await context.state.named(name) for name in names]
        rows = [row for row in found if row is not None]
        count = len(rows)
    else:
        await ingest(context)
        leaving = await _leaving(context)
        due = await context.state.due(context.clock(), _REQUESTED)
        rows = [row for row in due if context.policy.selection.selects(row.name)]
        count = max(len(rows), (await context.state.waiting())[0] - len(leaving))
    weight = await context.state.weigh(leaving)
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    steps = [step for batch in batches for step in await _steps(context, batch)]
    return Plan(projects=count, steps=tuple(steps), leaving=weight)


async def _leaving(context: SyncContext) -> Sequence[ProjectName]:
    """Return the served projects that the selection excludes."""
    selection = context.policy.selection
    if not selection.projects and not selection.exclude:
        return ()
    return [name for name in await context.state.names() if not selection.selects(name)]


async def _steps(context: SyncContext, rows: Sequence[ProjectRow]) -> list[Step]:
    """Return a step for each of the rows, in order, by requesting their pages together."""
    requests = [
        PageRequest(name=row.name, at_least=row.content_serial, etag=row.etag, attempt=row.attempts) for row in rows
    ]
    steps: dict[ProjectName, Step] = {}
    async with context.upstream.pages(requests) as groups:
        async for group in groups:
            for result in group:
                steps[result.request.name] = await _step(context, result)
    return [steps[row.name] for row in rows]


async def _step(context: SyncContext, result: PageResult) -> Step:
    name, page = result.request.name, result.outcome
    if isinstance(page, ProjectGone):
        files = (await context.state.weigh([name])).files
        says = (
            f"upstream has no page for it; {counted(files, 'file')} would be removed" if files else "unknown upstream"
        )
        return Step(name=name, says=says)
    if isinstance(page, ProjectPage):
        return await _step_for_page(context, page)
    return Step(name=name, says="unchanged" if isinstance(page, Unchanged) else str(page))


async def _step_for_page(context: SyncContext, page: ProjectPage) -> Step:
    if not context.policy.files:
        return Step(name=page.name, says="page only")
    (intent,) = await context.state.intend([without_unstored_sidecars(page, metadata=context.policy.metadata)])
    if isinstance(intent, MirrorsyncError):
        return Step(name=page.name, says=str(intent))
    lacking = [need.file for need in intent.needs if need.lacks_file]
    return Step(
        name=page.name,
        files=len(lacking),
        bytes=sum(file.size or 0 for file in lacking),
        vanishing=len(intent.vanished),
    )
