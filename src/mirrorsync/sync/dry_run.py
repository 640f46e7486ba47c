"""What a pass would do, found out without doing it."""

from collections.abc import Sequence
from typing import Final

import msgspec

from mirrorsync.errors import MirrorsyncError, ProjectGone
from mirrorsync.model.identity import ProjectName
from mirrorsync.model.page import PageRequest, PageResult, ProjectPage
from mirrorsync.model.wording import counted
from mirrorsync.select import content
from mirrorsync.state.progress import ProjectRow, Weight
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.ingest import ingest

_LOOKED_AT: Final = 1000
"""Projects whose pages a plan asks for; of more, only their number is told."""
_TOGETHER: Final = 16
"""Pages that are requested together."""


class Step(msgspec.Struct, frozen=True):
    """What would be done for one project."""

    name: ProjectName
    files: int = 0
    bytes: int = 0
    vanishing: int = 0
    """Objects that would be condemned."""
    says: str = ""
    """Anything else: it is gone upstream, or cannot be asked for now."""


class Plan(msgspec.Struct, frozen=True):
    """What a pass would do."""

    projects: int
    """Projects that are due."""
    steps: tuple[Step, ...]
    """Those that were looked at."""
    leaving: Weight = Weight(projects=0, files=0, size=0)
    """What is no longer selected and would be removed."""


async def make_plan(context: SyncContext, names: Sequence[ProjectName]) -> Plan:
    """Return what a pass would do, by asking upstream as the pass would. `context.state` is a copy: it is written to.

    Raises: what ingesting raises.
    """
    leaving: Sequence[ProjectName] = ()
    if names:
        await context.state.add_projects(names)
        found = [await context.state.named(name) for name in names]
        works = [work for work in found if work is not None]
        count = len(works)
    else:
        await ingest(context)
        leaving = await _leaving(context)
        due = await context.state.due(context.clock(), _LOOKED_AT)
        works = [work for work in due if context.policy.selection.selects(work.name)]
        count = max(len(works), (await context.state.waiting())[0] - len(leaving))
    weight = await context.state.weigh(leaving)
    return Plan(projects=count, steps=tuple(await _steps(context, works)), leaving=weight)


async def _steps(context: SyncContext, works: Sequence[ProjectRow]) -> list[Step]:
    steps: list[Step] = []
    for start in range(0, len(works), _TOGETHER):
        group = {work.name: work for work in works[start : start + _TOGETHER]}
        requests = [
            PageRequest(name=work.name, at_least=work.content_serial, etag=work.etag, attempt=work.attempts)
            for work in group.values()
        ]
        found: dict[ProjectName, Step] = {}
        async with context.upstream.pages(requests) as groups:
            async for results in groups:
                for result in results:
                    found[result.request.name] = await _step(context, group[result.request.name], result)
        steps.extend(found[name] for name in group)
    return steps


async def _leaving(context: SyncContext) -> Sequence[ProjectName]:
    """Return the projects that the selection leaves out, though they are served."""
    selection = context.policy.selection
    if not selection.projects and not selection.exclude:
        return ()
    return [name for name in await context.state.names() if not selection.selects(name)]


async def _step(context: SyncContext, work: ProjectRow, result: PageResult) -> Step:
    try:
        page = result.outcome
        if isinstance(page, MirrorsyncError):
            raise page
        if not isinstance(page, ProjectPage):
            return Step(name=work.name, says="unchanged")
        if not context.policy.files:
            return Step(name=work.name, says="page only")
        intent = await context.state.intend(
            work.name, content.apply(page, metadata=context.policy.metadata).files, None
        )
    except ProjectGone:
        files = (await context.state.weigh([work.name])).files
        return Step(name=work.name, says=f"upstream has no page of it: {counted(files, 'file')} would be removed")
    except MirrorsyncError as error:
        return Step(name=work.name, says=str(error))
    lacking = [need.file for need in intent.needs if need.lacks_file]
    return Step(
        name=work.name,
        files=len(lacking),
        bytes=sum(file.size or 0 for file in lacking),
        vanishing=len(intent.vanished),
    )
