"""Whoever measures how long the steps of a run take."""

from typing import Final, Literal, Protocol

Step = Literal["project", "commit", "poll", "root_index", "sweep"]
"""What is measured: bringing up a project, writing down how that ended, asking upstream for changes, writing the root
index, deleting what is condemned."""


class Stopwatch(Protocol):
    """Hears how long a step took. Called on the event loop; returns at once."""

    def took(self, step: Step, seconds: float) -> None:
        """Hear that `step` ended, well or not, `seconds` after it was begun."""


class Unwatched:
    """Measures nothing."""

    def took(self, step: Step, seconds: float) -> None:
        """Do nothing."""


UNWATCHED: Final = Unwatched()
