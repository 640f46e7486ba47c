"""HTTP/1.1 to one index and its file hosts: bounded, retried, pipelined."""
