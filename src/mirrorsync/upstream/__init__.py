"""Adapters to the indexes that are mirrored: what they send is judged here and leaves as values.

Everything that crosses the network passes `client.py`: it alone holds a connection, and it alone turns httpx's
exceptions and HTTP's statuses into our errors (`answers.py`). Retries stand in `retry.py` and nowhere else.
"""

import sys

# httpx's own command line, which nobody here uses, loads click, rich and pygments: 45 ms of every start.
if "httpx" not in sys.modules:
    sys.modules["httpx._main"] = None  # type: ignore[assignment]  # what importlib takes for "not to be had"
    import httpx as _

    del sys.modules["httpx._main"], _
