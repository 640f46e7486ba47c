"""What several test folders share: a PyPI on loopback, the oracle, and ways to start processes."""
