"""A project's page from the index's JSON: tolerant of what differs between indexes, strict where it would do harm.

Whatever stands in the body, the answer is a page or Malformed, after an amount of work that the body's length
bounds. Source: PEP 691, 700, 792.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from mirrorsync.errors import Malformed
from mirrorsync.model.identity import ProjectName, Serial, project_name
from mirrorsync.model.page import DistFile, ProjectPage
from mirrorsync.simple.decode_file import decode_file, leaves_sidecar_untold
from mirrorsync.simple.unusual import tidy_page
from mirrorsync.simple.wire import NAME_SHOWN, Entry, Parsed, Unfit, WirePage, WireStatus, is_later, refuse_version

_STRUCTURE_MAX: Final = 2_000_000
"""Brackets and commas: each can cost some 100 bytes of memory once decoded, and 130,000 files need no more."""
_SHOWN: Final = 1000
"""Characters of a reason: a decoder's path into deep JSON is as long as the JSON is deep."""
_SERIAL_MAX: Final = 2**63 - 1
"""What SQLite can hold; PyPI's journal ids have 32 bits."""
_NUMBER: Final = re.compile(r"[0-9]{1,19}").fullmatch
_QUARANTINED: Final = "quarantined"
_USUAL_SHAPE: Final = msgspec.json.Decoder(WirePage)


def decode_page(body: bytes, *, requested: ProjectName, page_url: str, etag: str | None = None) -> ProjectPage:
    """Return the page of `requested` that `body` is; its file URLs are absolute, resolved against `page_url`.

    Unknown keys are kept. A quarantined project has no files, whatever the body lists (PEP 792).
    Raises: Malformed, naming the file at fault where it is one file; never another exception.
    """
    try:
        return _make_page(_parse(body), requested, page_url, etag)
    except Unfit as fault:
        raise Malformed(
            f"the index's page of {requested} ({len(body):,} bytes) cannot be used",
            why=str(fault)[:_SHOWN],
            hint="the project stays as it is; a proxy that rewrites answers or a fault of the index is the usual cause",
        ) from None


def _parse(body: bytes) -> Parsed:
    structure = body.count(b",") + body.count(b"{") + body.count(b"[") if len(body) > _STRUCTURE_MAX else 0
    if structure > _STRUCTURE_MAX:
        raise Unfit(f"it has {structure:,} brackets and commas, and {_STRUCTURE_MAX:,} are the most that is decoded")
    try:
        page = _USUAL_SHAPE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # another shape, or no JSON at all
        return tidy_page(_parse_json(body))
    refuse_version(page.meta.api_version)
    return Parsed(head=page, entries=map(Entry, page.files))


def _parse_json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        raise Unfit("its objects and lists are nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise Unfit(f"it is not JSON ({fault})") from None


def _make_page(parsed: Parsed, requested: ProjectName, page_url: str, etag: str | None) -> ProjectPage:
    head = parsed.head
    _refuse_other_project(head.name, requested)
    status = head.project_status or WireStatus()
    quarantined = status.status == _QUARANTINED
    files, sidecars_untold = ((), 0) if quarantined else _make_files(parsed.entries, page_url)
    return ProjectPage(
        name=requested,
        serial=_serial(head.meta.last_serial),
        status=status.status or "active",
        status_reason=status.reason or None,
        versions=tuple(head.versions or ()),
        files=files,
        extra=parsed.extra,
        meta_extra=parsed.meta_extra,
        etag=etag,
        sidecars_untold=sidecars_untold,
        later_version=head.meta.api_version if is_later(head.meta.api_version) else None,
    )


def _refuse_other_project(name: str, requested: ProjectName) -> None:
    try:
        normalised = project_name(name)
    except Malformed as fault:
        raise Unfit(f"its `name` is unfit, {fault}") from None
    if normalised != requested:
        raise Unfit(f"it is the page of {name[:80]!r}")


def _serial(told: int | str | None) -> Serial | None:
    if told is None:
        return None
    number = int(told) if isinstance(told, int) or _NUMBER(told) else -1
    if not 0 <= number <= _SERIAL_MAX:
        raise Unfit(f"its `_last-serial` is not a serial, {str(told)[:40]!r}")
    return Serial(number)


def _make_files(entries: Iterable[Entry], page_url: str) -> tuple[tuple[DistFile, ...], int]:
    """Return the files in the page's order, each once, and the wheels of whose sidecars the page says nothing."""
    files: dict[tuple[bytes, str], DistFile] = {}
    untold = 0
    for entry in entries:
        file = decode_file(entry, page_url)
        first = files.setdefault((file.place, file.filename), file)
        if first is not file:
            _refuse_contradiction(first, file)
        elif leaves_sidecar_untold(entry.file):
            untold += 1
    return tuple(files.values()), untold


def _refuse_contradiction(first: DistFile, second: DistFile) -> None:
    """One path in the mirror can keep one promise only; the same file at two addresses is no contradiction."""
    if msgspec.structs.replace(second, url=first.url) != first:
        raise Unfit(f"file {first.filename[:NAME_SHOWN]!r}: it is listed twice, and the entries contradict each other")
