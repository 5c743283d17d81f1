"""Desired against actual -> changes. Pure: no I/O, no clock; what it is given decides what it gives."""
