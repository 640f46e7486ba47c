"""The pipeline: from what upstream says to what is served. It knows the ports and the state, never the wire."""
