"""What a user writes: `models` define it, `loading` finds, reads, merges and validates it."""
