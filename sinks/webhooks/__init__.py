"""Alerts to subscribers: which of them are told, and their delivery by Standard Webhooks."""
