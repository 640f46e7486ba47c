"""Implementations of `mirrorsync.ports.Store`."""
