"""HAProxy's two sockets as small typed calls: the runtime API, and the command line of its master process."""
