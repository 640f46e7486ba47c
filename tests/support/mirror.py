"""A mirror in this process: a directory, a configuration, and passes one after the other."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trio

from mirrorsync.app.mirror_directory import state_path
from mirrorsync.app.wiring import open_context
from mirrorsync.config.load import parse
from mirrorsync.config.schema import Settings
from mirrorsync.model.outcome import Outcome
from mirrorsync.observe.run_observer import Lines
from mirrorsync.state.report import Report, reading, report
from mirrorsync.state.runs import Totals
from mirrorsync.status.document import report_document
from mirrorsync.sync import single_pass as passes
from tests.support.oracle import Folder, Level, Oracle, Terms, broken_links
from tests.support.pypi.server import PyPI

_START = 1_800_000_000.0


class Clock:
    """A wall clock that moves only when the test moves it."""

    def __init__(self) -> None:
        self.now = _START

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Advance the clock without waiting."""
        self.now += seconds
        await trio.lowlevel.checkpoint()

    def forward(self, seconds: float) -> None:
        self.now += seconds


class RecordingObserver(Lines):
    """Records the outcomes and notices of a run."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: list[Outcome] = []
        self.notices: list[str] = []

    def ended(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def warn(self, text: str) -> None:
        self.notices.append(text)


class Mirror:
    """A mirror of `pypi` in `directory`; each call of `sync` is a complete run with lock and recovery."""

    def __init__(self, directory: Path, pypi: PyPI, **sections: dict[str, Any]) -> None:
        self.directory = directory
        self.web = directory / "web"
        self.pypi = pypi
        self.clock = Clock()
        self.observer = RecordingObserver()
        self.sections = sections
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def configuration(self) -> str:
        defaults: dict[str, dict[str, Any]] = {
            "mirror": {"directory": str(self.directory), "contact": "test@operator.test"},
            "upstream": {"index": self.pypi.url, "allow-http": True, "poll-interval": "1s"},
            "limits": {"min-free": "0"},
        }
        if self.pypi.files_url != self.pypi.url:
            defaults["upstream"]["file-hosts"] = [self.pypi.files_url.removeprefix("http://")]
        merged = {
            name: {**defaults.get(name, {}), **self.sections.get(name, {})} for name in {**defaults, **self.sections}
        }
        return "\n".join(
            f"[{name}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in section.items())
            for name, section in merged.items()
        )

    @property
    def settings(self) -> Settings:
        return parse(self.configuration, self.directory / "mirrorsync.toml", {})

    async def sync(self, names: Sequence[str] = (), *, allow_removals: bool = False) -> Totals:
        self.observer = RecordingObserver()
        async with open_context(
            self.settings, self.observer, self.clock, self.clock.sleep, allow_removals=allow_removals
        ) as context:
            return await passes.sync(context, names)  # type: ignore[arg-type]  # tests write normalised names

    def report(self) -> Report:
        with reading(state_path(self.directory)) as connection:
            return report(connection)

    def status(self) -> dict[str, Any]:
        return report_document(self.report(), self.clock())

    def problems(self, **terms: Any) -> list[str]:
        """Return how the tree differs from upstream; `terms` are Terms' fields."""
        allowed = Terms(shape=self.pypi.shape, extras=True, quarantined_may_be_absent=True, **terms)
        return Oracle(self.web, self.pypi.world, allowed).problems(Level.SETTLED)

    def broken_links(self) -> list[str]:
        """Return the links that do not lead to the promised bytes (I1)."""
        return list(broken_links(Folder(self.web)))

    def page(self, name: str) -> dict[str, Any]:
        page: dict[str, Any] = json.loads((self.web / "simple" / name / "index.v1_json").read_bytes())
        return page

    def stored(self) -> set[str]:
        return {path.name for path in (self.web / "packages").glob("*/*/*/*")}
