"""Secrets and ConfigMaps of Kubernetes clusters as targets. Below, each module needs only those further down.

Targets
    sink, staged     server-side apply: looked at, rehearsed, applied, taken back, removed
    placement        where a target goes: its cluster, each of its namespaces, its final name
    removal          how an object goes that is no longer wanted
    claims, rivals   another confsync that wants the same object: both say so, and neither fights
    workloads        roll-outs of what uses the objects
    private_files    content for a `check:` to look at
Clusters
    clusters         those of a configuration, each opened when it is first needed
    cluster          one of them: its client, and what is kept of its objects
    access           objects looked at, applied, deleted
What is kept in memory
    cache            our objects of one kind in one namespace
    namespaces       the namespaces a selector matches
    reflector        a list, and the watch that keeps it true
    watch_thread     keeps a watch going
    outage           tells once of a cluster that is away
    listing          lists read page by page
    known_objects    what is known, put together from what comes in any order
    single_flight    one thread asks for all that want to know
What objects are; pure
    manifest         what is applied, and what is read back of it
    objects          what is kept of an object
    limits           what the API server would refuse, found before it is asked
    resources        the kinds of object, and their paths
The way to the API server
    client           requests, and watches as streams
    stream           a watch's events as they come
    retries, rate    what is asked again, and how fast
    login            connections by our credentials, and new ones when those are refused
    connections      the pool of one login
    credentials      who we are: a pod, or the user of a kubeconfig
    kubeconfig       its files, checked before the library reads them
    exec_plugin      programs that give credentials
    failures         what comes instead of an answer, by class
    statuses, rbac   what a server's refusal means, in words that may be shown
    losses           what it means where no answer came

Nothing here is imported unless a target needs it, and the client library only when somebody logs in: it costs 35 MB.
"""
