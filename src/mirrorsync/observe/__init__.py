"""How a run is seen from outside."""
