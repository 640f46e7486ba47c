"""The oracle: reads a mirror's tree and says what is false of it, at several levels of strictness."""

from tests.support.oracle.judge import Oracle
from tests.support.oracle.links import broken_links
from tests.support.oracle.terms import Level, Terms
from tests.support.oracle.trees import Folder, Memory

__all__ = ["Folder", "Level", "Memory", "Oracle", "Terms", "broken_links"]
