"""The committee: protocol core without IO, contract, member process, the ledger log and its proofs, simulator."""
