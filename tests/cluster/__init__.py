"""Test the job on a real Spark standalone cluster with executors in separate processes: `make test-cluster`.

Every machine of the cluster has its own loopback address, so that nothing can rely on 127.0.0.1.
"""
