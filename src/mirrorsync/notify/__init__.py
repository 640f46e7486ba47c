"""Notifying of public changes: caches, CDNs, webhooks and commands. Each implements `ports.Sink`."""
