"""Help for running code: heartbeats for the watchdog, and blocking calls batched into threads."""
