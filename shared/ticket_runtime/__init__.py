"""How a service runs: the transactional loop, its clock, dead letters, metrics and health."""
