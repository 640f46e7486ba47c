"""Adapters to the indexes that are mirrored: what they send is judged here and leaves as values.

Everything that crosses the network passes `client.py`: it alone holds a connection, and it alone turns httpx's
exceptions and HTTP's statuses into our errors (`answers.py`). Retries stand in `retry.py` and nowhere else.
"""
