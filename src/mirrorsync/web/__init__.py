"""Serving the tree as it lies: a lab, a small site, the tests. Large sites use nginx (docs/serving.md)."""
