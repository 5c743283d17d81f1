"""Servers that stand in for those that cannot be had in a test: real sockets, real state, recorded answers."""
