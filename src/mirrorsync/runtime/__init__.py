"""Support for running tasks: heartbeats for the watchdog, and blocking calls in batched threads."""
