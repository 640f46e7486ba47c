"""Who is told of what changed in public: caches, CDNs, web addresses and commands. Each is a `sync.sinks.Sink`."""
