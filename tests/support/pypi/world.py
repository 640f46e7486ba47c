"""A simulated PyPI: each method is one action of its users, with the journal rows and serials that it causes."""

import bisect
import datetime as dt
import functools
import hashlib
from collections.abc import Callable, Sequence
from types import EllipsisType
from typing import Literal

import msgspec

from tests.support.pypi.distributions import core_metadata, make_distribution
from tests.support.pypi.ledger import Ledger, Project, Release, locked
from tests.support.pypi.values import Row, WorldFile, file_key, normalise

_START = 1_700_000_000
"""The start of every world in seconds since the epoch; each action takes one second."""


class World(Ledger):
    """The state of an index, and the actions that change it. Thread-safe; names may have any spelling.

    The file host keeps every object, as PyPI's does. Rows have the project's display name.
    """

    @locked
    def create(self, name: str) -> None:
        """Register a project: rows `create` and `add Owner`."""
        if normalise(name) in self.projects:
            raise ValueError(f"{name} exists")
        self.projects[normalise(name)] = Project(name)
        self._row(name, None, "create")
        self._row(name, None, "add Owner arthur")
        self._purge(name)

    @locked
    def upload(  # noqa: PLR0913 - a file has that many properties, and all but two have defaults
        self,
        name: str,
        version: str,
        *,
        filename: str | None = None,
        content: bytes | None = None,
        metadata: bytes | EllipsisType | None = ...,
        requires_python: str | None = None,
        requires_dist: Sequence[str] = (),
        provenance: bool = False,
        kind: Literal["wheel", "sdist"] = "wheel",
        body: bytes = b"",
        upload_time: str | None = None,
    ) -> WorldFile:
        """Upload a file: by default a real wheel with its sidecar, or a real sdist; `body` makes it larger.

        `name` becomes the project's display name (as with every upload to PyPI). A missing project or release is
        created; `requires_python` counts only for a release's first upload. An explicit `content` has a sidecar only
        if `metadata` is given; `metadata=None`: no sidecar.
        """
        make = functools.partial(
            make_distribution, kind, name, version, body, requires_python=requires_python, requires_dist=requires_dist
        )
        filename, content, sidecar = _completed(filename, content, metadata, make)
        self._refuse_twice(name, filename)
        release = self._release(name, version, requires_python)
        file = WorldFile(
            filename=filename,
            version=version,
            content=content,
            sha256=hashlib.sha256(content).hexdigest(),
            place=hashlib.blake2b(content, digest_size=32).hexdigest(),
            upload_time=upload_time or self._upload_time(),
            metadata=sidecar,
            requires_python=release.requires_python,
            yanked=release.yanked,
            provenance=provenance,
        )
        return self._add(name, file)

    @locked
    def remove_file(self, name: str, filename: str) -> None:
        """Row `remove file`; the release stays, even without files."""
        project = self.project(name)
        file = self.file(name, filename)
        project.files.remove(file)
        self._row(project.display_name, file.version, f"remove file {filename}")
        self._purge(name)

    @locked
    def remove_release(self, name: str, version: str) -> None:
        """Row `remove release`."""
        project = self.project(name)
        del project.releases[version]
        project.files = [file for file in project.files if file.version != version]
        self._row(project.display_name, version, "remove release")
        self._purge(name)

    @locked
    def remove_project(self, name: str) -> None:
        """Row `remove project`; the page answers 404 from now on."""
        display_name = self.project(name).display_name
        del self.projects[normalise(name)]
        self._row(display_name, None, "remove project")
        self._purge(name)

    @locked
    def yank(self, name: str, version: str, reason: str | None = None) -> None:
        """Row `yank release`: all files of the release are yanked."""
        self._set_yanked(name, version, reason or True)
        self._on_release(name, version, "yank release")

    @locked
    def unyank(self, name: str, version: str) -> None:
        """Row `unyank release`."""
        self._set_yanked(name, version, False)  # noqa: FBT003 - `yanked` is a value of three types
        self._on_release(name, version, "unyank release")

    @locked
    def quarantine(self, name: str) -> None:
        """Row `project quarantined`: an empty page, and absent from the root list."""
        self.project(name).status = "quarantined"
        self._on_project(name, "project quarantined")

    @locked
    def clear_quarantine(self, name: str) -> None:
        """Row `project quarantine cleared`: the same files return."""
        self.project(name).status = "active"
        self._on_project(name, "project quarantine cleared")

    @locked
    def quarantine_release(self, name: str, version: str) -> None:
        """Row `release quarantined`: its files leave the page, the status stays."""
        self.project(name).releases[version].quarantined = True
        self._on_release(name, version, "release quarantined")

    @locked
    def clear_release_quarantine(self, name: str, version: str) -> None:
        """Row `release quarantine cleared`."""
        self.project(name).releases[version].quarantined = False
        self._on_release(name, version, "release quarantine cleared")

    @locked
    def archive(self, name: str) -> None:
        """The status changes, without a row and without a serial."""
        self.project(name).status = "archived"
        self._purge(name)

    @locked
    def unarchive(self, name: str) -> None:
        """The status changes, without a row and without a serial."""
        self.project(name).status = "active"
        self._purge(name)

    @locked
    def rename(self, old: str, new: str) -> None:
        """Legacy: one row under the new name; the old rows get the new name too."""
        project = self.projects.pop(normalise(old))
        former, project.display_name = project.display_name, new
        self.journal[:] = [
            msgspec.structs.replace(row, name=new) if row.name == former else row for row in self.journal
        ]
        self.projects[normalise(new)] = project
        for file in project.files:
            self._put(new, file)
        self._row(new, None, f"rename from {former}")
        self._purge(old)
        self._purge(new)

    @locked
    def respell(self, name: str, new_spelling: str) -> None:
        """Change the display name, without a row and without a serial."""
        if normalise(name) != normalise(new_spelling):
            raise ValueError(f"{new_spelling} is another project than {name}")
        self.project(name).display_name = new_spelling
        self._purge(name)

    @locked
    def add_role(self, name: str) -> None:
        """Row `add Maintainer`: only the page's serial changes."""
        self._on_project(name, "add Maintainer galahad")

    @locked
    def invite(self, name: str) -> None:
        """Row `invite Maintainer`: the serial changes, the cached page does not (until `purge`)."""
        self._row(self.project(name).display_name, None, "invite Maintainer lancelot")

    @locked
    def purge(self, name: str) -> None:
        """Make the CDN fetch the page again, as at the end of its time to live."""
        self._purge(name)

    @locked
    def recreate_by_admin(self, name: str) -> None:
        """Create an empty project without a row and with serial 0."""
        if normalise(name) in self.projects:
            raise ValueError(f"{name} exists")
        self.projects[normalise(name)] = Project(name)
        self._purge(name)

    @locked
    def backfill_metadata(self, name: str, filename: str) -> WorldFile:
        """Add a missing sidecar to a file, without a row and without a serial."""
        project, file = self.project(name), self.file(name, filename)
        metadata = core_metadata(name, file.version, requires_python=file.requires_python)
        filled = msgspec.structs.replace(file, metadata=metadata)
        project.files[project.files.index(file)] = filled
        self._put(name, filled)
        self._purge(name)
        return filled

    @locked
    def journal_row(self, name: str | None, action: str, version: str | None = None) -> int:
        """Write any row and return its serial; a project with exactly this spelling gets the serial."""
        serial = self._row(name, version, action)
        if name is not None and normalise(name) in self.projects:
            self._purge(name)
        return serial

    @locked
    def skip_serials(self, count: int) -> None:
        """Consume `count` serials without rows, like transactions that are rolled back."""
        self._issued += count

    def _release(self, name: str, version: str, requires_python: str | None) -> Release:
        if normalise(name) not in self.projects:
            self.create(name)
        project = self.project(name)
        project.display_name = name
        if version not in project.releases:
            project.releases[version] = Release(requires_python=requires_python)
            self._row(name, version, "new release")
        return project.releases[version]

    def _refuse_twice(self, name: str, filename: str) -> None:
        project = self.projects.get(normalise(name))
        if project and any(file.filename == filename for file in project.files):
            raise ValueError(f"{filename} exists")

    def _add(self, name: str, file: WorldFile) -> WorldFile:
        bisect.insort(self.project(name).files, file, key=file_key)
        self._put(name, file)
        self._row(name, file.version, f"add {file.python_tag} file {file.filename}")
        self._purge(name)
        return file

    def _on_project(self, name: str, action: str) -> None:
        self._row(self.project(name).display_name, None, action)
        self._purge(name)

    def _on_release(self, name: str, version: str, action: str) -> None:
        self._row(self.project(name).display_name, version, action)
        self._purge(name)

    def _set_yanked(self, name: str, version: str, yanked: bool | str) -> None:  # noqa: FBT001 - PEP 691's value
        project = self.project(name)
        project.releases[version].yanked = yanked
        project.files = [
            msgspec.structs.replace(file, yanked=yanked) if file.version == version else file for file in project.files
        ]

    def _row(self, name: str | None, version: str | None, action: str) -> int:
        self._issued += 1
        self.revision += 1
        self.journal.append(Row(name, version, _START + len(self.journal), action, self._issued))
        self.original_names[self._issued] = normalise(name or "")
        project = self.projects.get(normalise(name or ""))
        if project is not None and project.display_name == name:
            project.last_serial = self._issued
        return self._issued

    def _purge(self, name: str) -> None:
        self.revision += 1
        project = self.projects.get(normalise(name))
        page = project.page(self.revision) if project else None
        self.history.setdefault(normalise(name), []).append((self.last_serial or 0, page))

    def _put(self, name: str, file: WorldFile) -> None:
        for path in (file.path, f"files/{normalise(name)}/{file.filename}"):
            self.objects[path] = file.content
            if file.metadata is not None:
                self.objects[f"{path}.metadata"] = file.metadata

    def _upload_time(self) -> str:
        moment = dt.datetime.fromtimestamp(_START + len(self.journal), dt.UTC)
        return moment.replace(microsecond=self._issued * 7919 % 1_000_000, tzinfo=None).isoformat() + "Z"


def _completed(
    filename: str | None,
    content: bytes | None,
    metadata: bytes | EllipsisType | None,
    make: Callable[[], tuple[str, bytes, bytes | None]],
) -> tuple[str, bytes, bytes | None]:
    if filename is None or content is None:
        made_name, made, made_metadata = make()
        filename = filename or made_name
        if content is None:
            content, metadata = made, made_metadata if metadata is ... else metadata
    return filename, content, None if metadata is ... else metadata
