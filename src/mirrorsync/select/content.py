"""What a mirror carries of a page: never more than can be served (invariant I1)."""

from typing import Final

import msgspec

from mirrorsync.model.identity import is_segment
from mirrorsync.model.page import DistFile, ProjectPage

_SIDECAR_SUFFIX: Final = ".metadata"


def apply(page: ProjectPage, *, metadata: bool) -> ProjectPage:
    """Return the page without promises of sidecars that this mirror will not hold.

    None is promised where `metadata` is False, nor where the sidecar's name would have more than 255 bytes:
    PyPI has files of 249. Source: PEP 658, Linux NAME_MAX.
    """
    if all(_keeps_promise(file, metadata=metadata) for file in page.files):
        return page
    files = tuple(
        file if _keeps_promise(file, metadata=metadata) else msgspec.structs.replace(file, core_metadata=None)
        for file in page.files
    )
    return msgspec.structs.replace(page, files=files)


def _keeps_promise(file: DistFile, *, metadata: bool) -> bool:
    return file.core_metadata is None or (metadata and is_segment(file.filename + _SIDECAR_SUFFIX))
