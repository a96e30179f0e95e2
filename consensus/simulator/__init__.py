"""Seven cores in one process under a seeded scheduler, with faults and checkers."""
