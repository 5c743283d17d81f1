"""What one environment is made of, how it differs from others, and how much of it comes down to a laptop.

    policy       what may come down: the `local` section, applied to every view of a source
    variables    what an environment comes down to: keys, names, values, and everything that is wrong with them
    dialects     how variables are written: thirteen formats
    output       variables in a file among somebody's own lines, and out of it again
    execution    a process with an environment's variables and files, and nothing left when it ends
    comparison   how environments differ, key by key and render by render

None of it prints: that is `confsync.cli`'s. None of it writes to a store, a target or the ledger.
"""
