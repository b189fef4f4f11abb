"""Programs that measure or stress the platform: benchmarks, chaos, soak, and breaks. Each has its own make target."""
