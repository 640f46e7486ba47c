"""A project's page as JSON, byte for byte as PyPI writes it: keys sorted, no blanks, UTF-8, one line feed at the end.

Source: PEP 691, 700, 714, 740, 792; PyPI for the wire form and for `data-dist-info-metadata`.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from mirrorsync.model.page import DistFile, ProjectPage
from mirrorsync.simple.wire import API_VERSION

_GAP: Final = b"\0"
"""Marks the place of `files` and of `meta` while the rest is encoded: JSON text has no such byte."""
_PLAIN: Final = msgspec.json.Encoder()
_SORTED: Final = msgspec.json.Encoder(order="sorted")


class _Digest(msgspec.Struct, frozen=True, gc=False):
    sha256: str


class _File(msgspec.Struct, frozen=True, gc=False, rename="kebab"):
    """An entry without unknown keys. The fields are in the order of the sorted keys."""

    core_metadata: _Digest | bool
    data_dist_info_metadata: _Digest | bool
    filename: str
    hashes: _Digest | dict[str, str]
    provenance: str | None
    requires_python: str | None
    size: int | None
    upload_time: str | None
    url: str
    yanked: bool | str


def json_page(page: ProjectPage, links: Sequence[str]) -> tuple[bytes, bytes]:
    """Return the page, with `links` as its files' URLs, and the sha256 of the page without its serial.

    Unknown keys are written, but override no known key. The serial is omitted where the page has none; every other
    key of PyPI's is always written.
    """
    encode_files = _SORTED.encode if any(file.extra or file.hashes.others for file in page.files) else _PLAIN.encode
    files = encode_files([_file(file, link) for file, link in zip(page.files, links, strict=True)])
    before, between, after = _SORTED.encode(_without_files(page)).split(_GAP)
    meta: dict[str, Any] = {**page.meta_extra, "api-version": API_VERSION}
    meta.pop("_last-serial", None)
    before, after = b"".join((before, files, between)), after + b"\n"
    content = b"".join((before, _SORTED.encode(meta), after))
    digest = hashlib.sha256(content).digest()
    if page.serial is None:
        return content, digest
    meta["_last-serial"] = page.serial
    return b"".join((before, _SORTED.encode(meta), after)), digest


def _without_files(page: ProjectPage) -> dict[str, Any]:
    status = {"status": page.status}
    if page.status_reason is not None:
        status["reason"] = page.status_reason
    return {
        **page.extra,
        "files": msgspec.Raw(_GAP),
        "meta": msgspec.Raw(_GAP),
        "name": page.name,
        "project-status": status,
        "versions": page.versions,
    }


def _file(file: DistFile, url: str) -> _File | dict[str, Any]:
    metadata = False if file.core_metadata is None else _Digest(file.core_metadata.hex())
    sha256 = file.hashes.sha256.hex()
    known = _File(
        metadata,
        metadata,
        file.filename,
        {**dict(file.hashes.others), "sha256": sha256} if file.hashes.others else _Digest(sha256),
        file.provenance,
        file.requires_python,
        file.size,
        file.upload_time,
        url,
        file.yanked,
    )
    if not file.extra:
        return known
    return {**file.extra, **dict(zip(_File.__struct_encode_fields__, msgspec.structs.astuple(known), strict=True))}
