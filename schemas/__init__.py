"""The contracts: Avro schemas, topic catalogue, codec. Imports nothing of ours."""
