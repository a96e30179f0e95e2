"""The PBFT state machine: events in, effects out. No clock, no randomness, no Kafka, no disk."""
