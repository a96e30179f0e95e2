"""Faust agents and the edge: everything that moves readings to records, and the ledger to balances."""
