"""HJ 212, the protocol of Chinese data loggers, in the editions of 2005, 2017 and 2025.

`frame`, `message`, `parts`, `devices` and `reception` are pure: bytes and given times in, arrivals and answers out.
"""
