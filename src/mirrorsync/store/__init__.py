"""Where the mirror's objects stand: the implementations of `mirrorsync.ports.Store`."""
