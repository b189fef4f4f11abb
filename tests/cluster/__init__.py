"""The job on a real Spark standalone cluster, its executors apart from the driver: `make test-cluster`.

Every machine of the cluster is a loopback address of its own here, so that nothing can rely on 127.0.0.1.
"""
