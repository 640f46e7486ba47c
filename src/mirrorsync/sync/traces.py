"""What a mirror leaves in its tree for others to see: how fresh it is, for scripts and for people."""

import time

import msgspec

from mirrorsync.model.identity import StorePath
from mirrorsync.state.status import status_document
from mirrorsync.sync.parts import Parts


async def leave_traces(parts: Parts, *, root_is_owed: bool) -> None:
    """Publish `mirrorsync/status.json`, and `last-modified` when the mirror is complete and its root index says so.

    `last-modified` is the time of the last complete sync (UTC), in the form that mirror tools have always written.
    `root_is_owed`: the root index that stands may be behind what is served.
    """
    report = await parts.state.report()
    document = msgspec.json.encode(status_document(report, parts.clock()))
    await parts.store.publish(StorePath("mirrorsync/status.json"), msgspec.json.format(document, indent=1) + b"\n")
    if report.complete_at is not None and not root_is_owed:
        stamp = time.strftime("%Y%m%dT%H:%M:%S\n", time.gmtime(report.complete_at))
        await parts.store.publish(StorePath("last-modified"), stamp.encode())
