"""Adapters to the indexes that are mirrored: they validate what an index sends and return it as values.

`http/` sends every request: it bounds, retries and checks, and turns HTTP's failures into mirrorsync's errors.
"""
