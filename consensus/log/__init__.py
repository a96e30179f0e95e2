"""All that a reader of the ledger needs: leaf, block, checkpoint note, certificate, proof, verification."""
