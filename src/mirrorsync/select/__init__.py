"""Which projects a mirror carries, and what of them. Pure."""
