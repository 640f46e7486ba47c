"""Configuration: what an operator writes, checked and turned into values."""
