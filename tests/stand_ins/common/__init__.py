"""What stand-ins have in common: a listening socket, a clock that tests move, certificates, a count of requests."""
