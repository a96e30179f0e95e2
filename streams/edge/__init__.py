"""The edge gateway: source → packing → store → Kafka. What is signed is kept on disk before it is sent."""
