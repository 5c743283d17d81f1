"""Secrets and ConfigMaps of Kubernetes clusters as targets.

    client       requests to one cluster's API server: retried, limited in rate, failures that teach; watches as streams
    credentials  how a cluster is found and logged in to: as a pod, or by a kubeconfig
    failures     what the API server, or the way to it, answers instead of what was asked for
    rate         how many requests a second
    resources    the kinds of object confsync deals with, and their paths
    reflector    the objects of one kind kept in memory: a list, and the watch that keeps it true
    cache        our objects of one kind in one namespace
    namespaces   the namespaces a selector matches
    manifest     what is applied, and what is read back of it
    limits       what the API server would refuse, found before it is asked
    sink, staged the sinks
    workloads    roll-outs of what uses them
    cluster      a configured cluster: its client and what is kept of it

Nothing here is imported unless a target needs it: the client library costs 35 MB.
"""
