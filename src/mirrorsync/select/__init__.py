"""The projects that a mirror carries, and the parts of their pages. Pure."""
