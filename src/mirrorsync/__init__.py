"""mirrorsync: a full mirror of PyPI that is true, heals itself, and says how far behind it is."""

from typing import Final

__version__: Final = "0.1.0"
