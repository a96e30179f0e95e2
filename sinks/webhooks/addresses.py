"""Which addresses a webhook may go to: public ones, and the networks that the operator allows by name.

Against server-side request forgery. An IPv6 address that stands for an IPv4 one is judged by that one: IPv4-mapped and
IPv4-compatible (RFC 4291, 2.5.5), 6to4 (RFC 3056), NAT64 (RFC 6052); a network's own NAT64 prefix (RFC 8215) and Teredo
(RFC 4380) are refused.
"""

from collections.abc import Iterable, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_NAT64, _COMPATIBLE = IPv6Network("64:ff9b::/96"), IPv6Network("::/96")
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_SPECIAL: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "3fff::/20"),
        # a cloud's service to its own machines on a public address; all others are link-local, shared or private
        "168.63.129.16/32",
    )
)
"""IANA's special-purpose registries (RFC 6890); what Python's `is_global` says of them differs between releases."""


class RefusedAddressError(ValueError):
    """An address that no webhook may go to."""


def networks(text: str) -> tuple[Network, ...]:
    """Networks separated by commas, such as `10.0.0.0/8, ::1`. Raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def is_allowed(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether an address stands in one of the operator's networks, also as the IPv4 address that it means."""
    meant = _meant(address)
    return any(one.version == network.version and one in network for one in {address, meant} for network in allowed)


def is_public(address: Address) -> bool:
    """Whether an address is everybody's: global unicast, and no cloud's service to its own machines."""
    meant = _meant(address)
    if any(meant.version == network.version and meant in network for network in _SPECIAL):
        return False
    return isinstance(meant, IPv4Address) or meant in _GLOBAL_UNICAST


def _meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for; otherwise itself."""
    if isinstance(address, IPv4Address):
        return address
    embedded = address.ipv4_mapped or address.sixtofour
    if embedded is None and (address in _NAT64 or address in _COMPATIBLE):
        embedded = IPv4Address(int(address) & 0xFFFF_FFFF)
    return embedded or address


def vet(found: Iterable[str], allowed: Sequence[Network], *, plain: bool) -> None:
    """Every address of a name. `plain`: http, which goes to allowed networks only. Raises RefusedAddressError.

    One refused address refuses the name: whoever mixes them in one answer wants the client to pick the wrong one.
    """
    for text in found:
        address = ip_address(text)
        if is_allowed(address, allowed):
            continue
        if plain:
            raise RefusedAddressError(f"http to {address}: only https goes beyond the allowed networks")
        if not is_public(address):
            raise RefusedAddressError(f"{address} is not public, and not allowed")
