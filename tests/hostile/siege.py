"""A mirror of two honest projects and a hostile one: what it may touch and must report."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import trio
from msgspec.structs import replace

from mirrorsync.app import wiring
from mirrorsync.app.mirror_directory import hold_lock, state_path
from mirrorsync.app.wiring import policy_of
from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.outcome import Failed, Outcome
from mirrorsync.state.ledger import open_state
from mirrorsync.state.runs import Totals
from mirrorsync.sync import single_pass as passes
from mirrorsync.sync.context import SyncContext
from mirrorsync.upstream.build import open_upstream
from mirrorsync.upstream.http.retry import RetryPolicy
from tests.hostile.markup import markup_problems
from tests.support.mirror import Mirror, RecordingObserver
from tests.support.oracle.pages import read_html
from tests.support.pypi.faults import Body, Fault
from tests.support.pypi.server import PyPI
from tests.support.pypi.values import WorldFile

NEIGHBOURS: Final = ("alpha", "omega")
_MESSAGE_MAX: Final = 2000
_CANARY: Final = b"nobody may read or write this"


class Siege(Mirror):
    """A mirror with short time limits, and unrelated files beside it."""

    expected: Final = MirrorsyncError
    """What a run may raise."""

    def __init__(self, around: Path, pypi: PyPI, *, silence: float = 1.0, **sections: dict[str, Any]) -> None:
        self.around = around
        self.silence = silence
        for name in NEIGHBOURS:
            pypi.world.upload(name, "1.0", body=b"x" * 1000)
        (around / "bystander").mkdir(parents=True)
        (around / "bystander" / "secret").write_bytes(_CANARY)
        super().__init__(around / "mirror", pypi, **sections)
        self._outside = self._look_outside()

    async def sync(self, names: Sequence[str] = (), *, allow_removals: bool = False) -> Totals:
        self.observer = RecordingObserver()
        settings = self.settings
        policy = replace(policy_of(settings), allow_removals=allow_removals)
        with hold_lock(self.directory):
            async with (
                open_state(state_path(self.directory)) as state,
                open_upstream(
                    index=settings.upstream.index,
                    contact=settings.mirror.contact,
                    connections=trio.CapacityLimiter(settings.upstream.connections),
                    feed=settings.upstream.feed,
                    allow_http=True,
                    file_hosts=settings.upstream.file_hosts or (),
                    retry_policy=RetryPolicy(attempts=2, seconds=20.0, first_wait=0.01, longest_wait=0.02),
                    silence=self.silence,
                ) as upstream,
            ):
                store = wiring._store(settings)
                context = SyncContext(upstream, store, state, policy, self.clock, self.observer, self.clock.sleep)
                await context.store.check()
                context = await passes.prepare(context)
                return await passes.sync(context, tuple(names))  # type: ignore[arg-type]  # tests write normalised names

    @property
    def outcomes(self) -> Mapping[str, Outcome]:
        """The message of the last sync on each project."""
        return {outcome.name: outcome for outcome in self.observer.outcomes}

    def heal(self) -> None:
        """Make upstream honest, and advance the clock until everything is due."""
        self.pypi.faults.clear()
        self.clock.forward(2 * 86400)

    def refusal_problems(self, *victims: str) -> list[str]:
        """Return what is wrong with the refusal of `victims`: each must fail alone, with a short plain message."""
        problems = []
        for name in victims:
            outcome = self.outcomes.get(name)
            if not isinstance(outcome, Failed) or outcome.reason in {"gone", "stale", "held"}:
                problems.append(f"{name}: it was not refused but {outcome}")
                continue
            length = len(f"{outcome.name}: {outcome.error}{outcome.hint}")
            if not outcome.error:
                problems.append(f"{name}: refused without a reason: {outcome}")
            if length > _MESSAGE_MAX:
                problems.append(f"{name}: the message has {length:,} characters")
            if (self.web / "simple" / name).exists():
                problems.append(f"{name}: it is served")
        return problems + self.harm()

    def harm(self) -> list[str]:
        """Return the damage to others: the other projects, the tree, and the files beside it."""
        problems = [f"{name}: a neighbour that is not served" for name in NEIGHBOURS if not self._serves(name)]
        problems += self.broken_links()
        problems += [f"{path} stands outside, or was changed there" for path in self._changed_outside()]
        problems += [
            f"{path.name} was left in staging" for path in (self.directory / "staging").rglob("*") if path.is_file()
        ]
        allowed = {"mirror", "bystander"}
        problems += [f"{path} appeared" for path in self.around.iterdir() if path.name not in allowed]
        for page in self.web.glob("simple/*/index.html"):
            body = page.read_bytes()
            serial = json.loads(page.with_name("index.v1_json").read_bytes())["meta"].get("_last-serial")
            found = markup_problems(body, anchors=len(read_html(body).links), serial=serial)
            problems += [f"{page.parent.name}: its HTML holds {problem}" for problem in found]
        return problems

    def _serves(self, name: str) -> bool:
        return bool(self.page(name)["files"]) if (self.web / "simple" / name).exists() else False

    def _changed_outside(self) -> set[str]:
        now = self._look_outside()
        return {path for path in now.keys() | self._outside.keys() if now.get(path) != self._outside.get(path)}

    def _look_outside(self) -> dict[str, tuple[int, int, bytes]]:
        """Return mode, time and content of everything beside the mirror; the access time may change."""
        return {
            str(path): (path.lstat().st_mode, path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
            for path in (self.around / "bystander", *(self.around / "bystander").rglob("*"))
        }


def place_in(pypi: PyPI, victim: str, *faults: Fault, where: str = "page") -> None:
    """Apply `faults` to the page or files of the project; create the project if it is missing."""
    if victim not in pypi.world.projects:
        pypi.world.upload(victim, "1.0", body=b"v" * 1000)
    stem = victim.replace("-", "_")
    pattern = {"page": rf"^/simple/{victim}/", "file": rf"/{stem}-1\.0.*whl$", "sidecar": rf"/{stem}-1.*metadata$"}
    pypi.faults.add(pattern[where], *faults)


def entry_of(pypi: PyPI, file: WorldFile, **keys: Any) -> dict[str, Any]:
    """Return the file's entry of an honest page, changed by `keys` (dashes as underscores)."""
    honest = {
        "core-metadata": False,
        "filename": file.filename,
        "hashes": {"sha256": file.sha256},
        "requires-python": None,
        "size": file.size,
        "upload-time": file.upload_time,
        "url": f"{pypi.files_url}/{file.path}",
        "yanked": False,
    }
    return honest | {key.replace("_", "-"): value for key, value in keys.items()}


def page_of(name: str, *entries: object, **keys: Any) -> Body:
    """Return a page that replaces upstream's, with the serial of the header (dashes as underscores)."""
    honest = {
        "files": list(entries),
        "meta": {"api-version": "1.4"},
        "name": name,
        "versions": ["1.0"],
    }
    return Body(msgspec.json.encode(honest | {key.replace("_", "-"): value for key, value in keys.items()}))


def digest_of(text: str) -> str:
    """Return a sha256 in hex."""
    return hashlib.sha256(text.encode()).hexdigest()
