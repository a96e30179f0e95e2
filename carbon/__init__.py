"""The domain, pure: identity codes, validation, windows, emissions, accounts. No broker, clock, disk or socket."""
