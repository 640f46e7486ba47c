"""`mirrorsync serve`: serve the tree over HTTP. Large sites use nginx (docs/serving.md)."""
