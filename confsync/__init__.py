"""confsync keeps files, Secrets and environments in agreement with the values in etcd, Vault and their like.

A tour of the house, from the outside in; each package may import only what stands below it (`lint-imports` checks):

    cli          the commands: parse arguments, print results, choose the exit status
    daemon       `confsync run`: signals, timers, hot reload, one life cycle for everything with a thread
    environments what an environment comes down to on a laptop, and how environments differ
    reconcile    read all -> render -> plan -> apply -> record; the work queue and its workers
    sinks        write targets whole or not at all (a file, a directory)
    actions      run a `check:` or a `reload:` (a command, a signal, a systemd unit, an HTTP request)
    ledger       what confsync wrote, when, from which revisions; what it owns and which reloads it owes
    source       a configured backend: last good snapshot, watch, retry; the registry of backends
    render       templates and data maps -> artifacts, recording every key read and whether it is sensitive
    plan         desired against actual -> changes; pure, no I/O
    config       what a user writes: models, loading, errors that name file and line
    snapshot     immutable views of a source's keys at one revision
    driver       the contract a backend fulfils
    errors       every error confsync raises

The backends themselves live in `confsync_backends` and are found by entry points, as a third party's are.
"""

__version__ = "0.1.0.dev0"
