"""A project's page as JSON, byte for byte as PyPI writes it: keys sorted, no blanks, UTF-8, one line feed at the end.

Source: PEP 691, 700, 714, 740, 792; PyPI for the wire form and for `data-dist-info-metadata`.
"""

import hashlib
from collections.abc import Callable
from typing import Any, Final

import msgspec

from mirrorsync.model.page import DistFile, ProjectPage
from mirrorsync.simple.wire import API_VERSION

_META: Final = b"\0"
"""Stands for `meta` while the rest is encoded: JSON writes no such byte."""
_ENCODER: Final = msgspec.json.Encoder(order="sorted")


class Encoded(msgspec.Struct, frozen=True):
    """A page, written."""

    body: bytes
    content_digest: bytes
    """The sha256 of what it says besides its serial: equal when only the serial has moved."""


def encode_page(page: ProjectPage, link: Callable[[DistFile], str]) -> Encoded:
    """Return the page with each file's URL as `link` makes it. Unknown keys stay; none overrides a known one.

    The serial is left out where the page has none; every other key of PyPI's is always there.
    """
    before, after = _ENCODER.encode(_page(page, link)).split(_META)
    meta: dict[str, Any] = {**page.meta_extra, "api-version": API_VERSION}
    meta.pop("_last-serial", None)
    said = b"%s%s%s\n" % (before, _ENCODER.encode(meta), after)
    digest = hashlib.sha256(said).digest()
    if page.serial is None:
        return Encoded(body=said, content_digest=digest)
    meta["_last-serial"] = page.serial
    return Encoded(body=b"%s%s%s\n" % (before, _ENCODER.encode(meta), after), content_digest=digest)


def _page(page: ProjectPage, link: Callable[[DistFile], str]) -> dict[str, Any]:
    status = {"status": page.status}
    if page.status_reason is not None:
        status["reason"] = page.status_reason
    return {
        **page.extra,
        "files": [_file(file, link(file)) for file in page.files],
        "meta": msgspec.Raw(_META),
        "name": page.name,
        "project-status": status,
        "versions": page.versions,
    }


def _file(file: DistFile, url: str) -> dict[str, Any]:
    metadata = False if file.core_metadata is None else {"sha256": file.core_metadata.hex()}
    hashes = {"sha256": file.hashes.sha256.hex()}
    if file.hashes.others:
        hashes = dict(file.hashes.others) | hashes
    known = {
        "core-metadata": metadata,
        "data-dist-info-metadata": metadata,
        "filename": file.filename,
        "hashes": hashes,
        "provenance": file.provenance,
        "requires-python": file.requires_python,
        "size": file.size,
        "upload-time": file.upload_time,
        "url": url,
        "yanked": file.yanked,
    }
    return {**file.extra, **known} if file.extra else known
