"""Polling: read from upstream what has changed, and raise the wanted serial of each project. No page is fetched."""

from collections.abc import Iterable, Sequence
from contextlib import aclosing
from typing import Final

from mirrorsync.errors import Malformed, NoChangelog, NoListing, SerialWentBack, TooManyDeletions, Unreachable
from mirrorsync.model.change import Change, Listed
from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.select.rules import Selection
from mirrorsync.state.listing import Unlisted
from mirrorsync.state.mirror_row import Mirror
from mirrorsync.state.progress import Raised
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.policy import Policy

_TOO_FAR: Final = 1_000_000
"""Serials behind upstream beyond which the root list costs less than the journal (20 pages of 50,000 rows)."""


def coalesce(changes: Iterable[Change], selection: Selection) -> list[Raised]:
    """Merge the rows of each selected project into one; of several spellings the last one is displayed."""
    raised: dict[ProjectName, Raised] = {}
    for change in changes:
        if not selection.selects(change.name):
            continue
        earlier = raised.get(change.name)
        raised[change.name] = Raised(
            name=change.name,
            display_name=change.display_name,
            first=change.serial if earlier is None else earlier.first,
            last=change.serial,
            content=change.serial if change.touches_page else Serial(0) if earlier is None else earlier.content,
            # A row about roles after the removal does not undo it; any other row does.
            removes_project=change.removes_project
            or (not change.touches_page and earlier is not None and earlier.removes_project),
        )
    return list(raised.values())


async def ingest(context: SyncContext) -> None:
    """Poll upstream once; afterwards every change is wanted, and the cursor is behind the last one.

    Raises: Unreachable, Throttled; SerialWentBack; NoListing if the index cannot say what it holds.
    Cancel-safe: the cursor never passes rows that were not ingested.
    """
    with context.timed("poll"):
        await _ingest(context)


async def _ingest(context: SyncContext) -> None:
    names = context.policy.selection.names
    if names:
        await context.state.name_projects(names)
    mirror = await context.state.mirror()
    try:
        newest = await context.upstream.last_serial() or Serial(0)
        cursor = await _start(context, mirror, newest)
        if newest > cursor:
            async with aclosing(context.upstream.changes(cursor)) as batches:
                async for batch in batches:
                    await context.state.raise_wanted(coalesce(batch.changes, context.policy.selection), batch.upto)
                    newest = max(newest, batch.upto)
        await context.state.polled(newest, context.clock(), has_journal=True)
        await _compare_lists(context)
    except NoChangelog as reason:
        if context.policy.needs_journal:
            raise Unreachable(
                reason.what,
                why=reason.why,
                hint='feed = "xmlrpc" accepts only the journal; feed = "auto" reads the root list meanwhile',
            ) from reason
        await _without_journal(context, mirror, reason)


async def _start(context: SyncContext, mirror: Mirror, newest: Serial) -> Serial:
    """Return the cursor to read the journal from; if there is none, or it is far behind, set it by the root list.

    The serial is read before the list, and the journal then from that serial, so that no change between is lost.
    """
    cursor = mirror.ingested_serial
    if cursor is not None and newest < cursor:
        raise SerialWentBack(
            f"upstream's newest serial is {newest}, this mirror has already read up to {cursor}",
            why="another index answers, or upstream was restored from a backup",
            hint="check [upstream] index; if upstream really went back, start a new mirror directory",
        )
    if cursor is not None and newest - cursor <= _TOO_FAR:
        return cursor
    if context.policy.selection.names_only:
        if cursor is not None:
            await context.state.recheck(context.policy.selection.names)
        await context.state.start_at(newest)
    else:
        reached = await _read_list(context, mirror, cursor=newest)
        return newest if reached is None else reached
    return newest


async def _compare_lists(context: SyncContext) -> None:
    """Read the root list from time to time too: events get lost, and some removals write no row to the journal."""
    now, mirror = context.clock(), await context.state.mirror()
    fresh = mirror.list_read_at is not None and now - mirror.list_read_at < context.policy.list_interval
    if mirror.list_refused is not None and context.policy.allow_removals:
        fresh = False  # the person agrees to this very list
    if context.policy.selection.names_only or fresh:
        return
    try:
        await _read_list(context, mirror, cursor=None, has_journal=True)
    except (NoListing, Malformed) as error:
        context.observer.warn(f"the root list could not be compared with the mirror: {error}")
        await context.state.list_missed(now)


async def _without_journal(context: SyncContext, mirror: Mirror, reason: NoChangelog) -> None:
    if context.policy.selection.names_only:
        context.observer.warn_once(
            "no changelog",
            f"upstream has no changelog ({reason}): each named project ({len(context.policy.selection.names)})"
            " is requested at every sync, and it is unknown how far upstream is ahead",
        )
        await context.state.recheck(context.policy.selection.names)
        await context.state.polled(None, context.clock(), has_journal=False)
        return
    try:
        await _read_list(context, mirror, cursor=None)
    except NoListing as error:
        raise Unreachable(
            f"{context.upstream.identity} has neither a changelog nor a root list",
            why=f"{reason}; {error}",
            hint=f"{error.hint + '; or ' if error.hint else ''}name the projects that you want in [select] projects:"
            " they are then requested one by one",
        ) from error


async def _read_list(
    context: SyncContext, mirror: Mirror, *, cursor: Serial | None, has_journal: bool = False
) -> Serial | None:
    """Compare the whole root list with the state; return the cursor that follows from it.

    `cursor`: an upper limit for the result; None: the present cursor or, without a journal, the list's own serial.
    """
    list_serial: Serial | None = None
    await context.state.begin_listing()
    async with aclosing(context.upstream.snapshot()) as listing:
        async for part in listing:
            list_serial = part.serial if part.serial is not None else list_serial
            await context.state.add_listing(_selected(part.projects, context.policy))
    missing = await context.state.missing(list_serial)
    refusal = None if context.policy.allow_removals else judge_missing(missing, context.policy)
    if refusal is not None:
        context.observer.failed("root list", refusal)
    else:
        context.observer.recovered("root list")
    known = mirror.ingested_serial
    if cursor is None and has_journal:
        cursor = known
    elif cursor is not None and list_serial is not None:
        # A cached list may be half an hour behind the journal, which alone has the rows between.
        cursor = max(known or Serial(0), min(cursor, list_serial))
    elif cursor is None:
        # A cached list may be half an hour older than the previous one; the cursor never goes back.
        cursor = known if list_serial is None or (known is not None and known > list_serial) else list_serial
        await context.state.polled(list_serial, context.clock(), has_journal=False)
    if refusal is not None and known is not None:
        cursor = known  # a refused list is no evidence for its serial either
    await context.state.accept_listing(
        cursor=cursor,
        since=Serial(1 if known is None else known + 1),
        list_serial=list_serial,
        missing_too=refusal is None,
        now=context.clock(),
    )
    await context.state.list_read(context.clock(), refused=None if refusal is None else str(refusal))
    return cursor


def _selected(listed: Sequence[Listed], policy: Policy) -> list[Listed]:
    """Return the listed projects that the mirror selects."""
    return [row for row in listed if policy.selection.selects(row.name)]


def judge_missing(missing: Unlisted, policy: Policy) -> Malformed | TooManyDeletions | None:
    """Return why the projects that a list leaves out are kept; a truncated list looks like mass removal."""
    if not missing.projects:
        return None
    if missing.listed * 2 < missing.served:
        return Malformed(
            f"the root list names {missing.listed} projects, this mirror serves {missing.served}",
            why="less than half: the list is taken to be truncated",
            hint="Nothing is removed because of it; new and changed projects are taken from it.",
        )
    if (
        missing.projects > policy.max_removed_projects
        or missing.files > policy.max_removed_files
        or missing.size > policy.max_removed_bytes
    ):
        return TooManyDeletions(
            f"the root list leaves out {missing.projects} projects"
            f" ({missing.files} files, {missing.size / 2**30:.1f} GiB)",
            why=f"the limits are {policy.max_removed_projects} projects, {policy.max_removed_files} files and"
            f" {policy.max_removed_bytes / 2**30:.1f} GiB",
            hint="Nothing is removed; if upstream really removed them, allow it once with `mirrorsync sync"
            " --allow-removals`.",
        )
    return None
