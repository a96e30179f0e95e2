"""HJ 212, the protocol of Chinese data loggers, in the editions of 2005, 2017 and 2025: docs/hj212.md.

`frame`, `message`, `parts`, `devices` and `reception` are pure: bytes and given times in, arrivals and answers out.
`server` is the live source around them.
"""
