"""The member process: a thin shell around the core, the contract and the state."""
