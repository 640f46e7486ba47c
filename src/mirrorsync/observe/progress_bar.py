"""The progress bar of a pass on a terminal."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.outcome import Failed, Mirrored, Outcome
from mirrorsync.model.wording import printable
from mirrorsync.observe.run_observer import RunObserver, Where


class ProgressBar(RunObserver):
    """A progress bar on a terminal; failures and warnings go above it, without the secrets that `mask` takes out."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        self._mask = mask
        self._progress: Progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("projects  {task.fields[size]:.1f} MiB", markup=False),
            TimeElapsedColumn(),
        )
        self._task = self._progress.add_task("mirroring", total=None, size=0.0)
        self._done = 0
        self._bytes = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def queued(self, projects: int) -> None:
        """Set the bar's length."""
        self._progress.update(self._task, total=self._done + projects)

    def fetched(self, size: int) -> None:
        """Count bytes."""
        self._bytes += size
        self._progress.update(self._task, size=self._bytes / 2**20)

    def ended(self, outcome: Outcome) -> None:
        """Advance the bar, and write a failure above it."""
        self._done += 1
        name = outcome.name if isinstance(outcome, Mirrored) else "mirroring"
        self._progress.update(self._task, advance=1, description=f"{name[:24]:24}")
        if isinstance(outcome, Failed):
            hint = (f"  hint: {outcome.hint}",) if outcome.hint else ()
            self._above(f"{outcome.name}: {outcome.error}", *hint)

    def warn(self, text: str) -> None:
        """Write it above the bar."""
        self._above(text)

    def info(self, text: str) -> None:
        """Write it above the bar."""
        self.warn(text)

    def failed(self, where: Where, error: MirrorsyncError) -> None:  # noqa: ARG002 -- the error names the place
        """Write it above the bar."""
        self.warn(f"{error}. {error.hint}" if error.hint else str(error))

    def _above(self, *lines: str) -> None:
        for line in lines:
            self._progress.console.print(printable(self._mask(line)), markup=False, highlight=False)
