"""Service level objectives: what is promised, measured each minute, its misses and how well it was kept by month."""
