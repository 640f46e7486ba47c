"""Starting real processes: the command line, servers, a service manager."""
