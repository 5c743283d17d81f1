"""The portable half of a source: last good snapshot, watch, retry, the guard against mass loss; and the registry."""
