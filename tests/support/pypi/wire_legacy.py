"""The legacy JSON API (`/pypi/<name>/json`) as PyPI renders it. Pure."""

import hashlib
from typing import Any, Final

from tests.support.pypi.values import Page, WorldFile, version_key
from tests.support.pypi.wire import Origin, file_url, to_json

MEDIA_TYPE: Final = "application/json"
NOT_FOUND: Final = b'{"message": "Not Found"}'
_NULL: Final = ("bugtrack_url", "docs_url", "license_expression", "license_files", "platform", "provides_extra")
_EMPTY: Final = (
    "author",
    "author_email",
    "description",
    "description_content_type",
    "download_url",
    "home_page",
    "keywords",
    "license",
    "maintainer",
    "maintainer_email",
)


def project_json(page: Page, origin: Origin, version: str | None = None) -> bytes | None:
    """Return the body, None for 404: no visible release (or not this one)."""
    if version is None:
        if not page.releases:
            return None
        version = max(page.releases, key=lambda release: _preference(page, release))
    elif version not in page.releases:
        same = [known for known in page.releases if version_key(known)[:2] == version_key(version)[:2]]
        if len(same) != 1 or version_key(version)[0] == 0:
            return None
        version = same[0]
    body = {
        "info": _info(page, origin, version),
        "last_serial": page.serial,
        "ownership": {"organization": None, "roles": [{"role": "Owner", "user": "arthur"}]},
        "releases": {release: _files(page, origin, release) for release in page.releases},
        "urls": _files(page, origin, version),
        "vulnerabilities": [],
    }
    return to_json(body)


def _preference(page: Page, version: str) -> tuple[object, ...]:
    kind, parsed, text = version_key(version)
    yanked = any(file.yanked for file in page.files if file.version == version)
    return (not yanked, kind == 1 and not parsed.is_prerelease, kind, parsed, text)


def _info(page: Page, origin: Origin, version: str) -> dict[str, Any]:
    files = [file for file in page.files if file.version == version]
    yanked = files[0].yanked if files else False
    project_url = f"{origin.index_url}/project/{page.name}/"
    return {
        **dict.fromkeys(_NULL),
        **dict.fromkeys(_EMPTY, ""),
        "classifiers": [],
        "downloads": {"last_day": -1, "last_month": -1, "last_week": -1},
        "dynamic": None,
        "name": page.display_name,
        "package_url": project_url,
        "project_url": project_url,
        "project_urls": None,
        "release_url": f"{project_url}{version}/",
        "requires_dist": None,
        "requires_python": files[0].requires_python if files else None,
        "summary": f"{page.display_name} for tests",
        "version": version,
        "yanked": bool(yanked),
        "yanked_reason": yanked if isinstance(yanked, str) else None,
    }


def _files(page: Page, origin: Origin, version: str) -> list[dict[str, Any]]:
    return [_file(page, origin, file) for file in page.files if file.version == version]


def _file(page: Page, origin: Origin, file: WorldFile) -> dict[str, Any]:
    md5 = hashlib.md5(file.content, usedforsecurity=False).hexdigest()
    return {
        "comment_text": "",
        "core-metadata": {"sha256": file.metadata_sha256} if file.metadata is not None else False,
        "digests": {"blake2b_256": file.place, "md5": md5, "sha256": file.sha256},
        "downloads": -1,
        "filename": file.filename,
        "has_sig": False,
        "md5_digest": md5,
        "packagetype": "bdist_wheel" if file.filename.endswith(".whl") else "sdist",
        "python_version": file.python_tag,
        "requires_python": file.requires_python,
        "size": file.size,
        "upload_time": file.upload_time[:19],
        "upload_time_iso_8601": file.upload_time,
        "url": file_url(origin, page, file),
        "yanked": bool(file.yanked),
        "yanked_reason": file.yanked if isinstance(file.yanked, str) else None,
    }
