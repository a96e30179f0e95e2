"""Where a webhook may go, by address."""

from ipaddress import ip_address

import pytest

from sinks.webhooks.addresses import RefusedAddressError, is_public, networks, vet

PRIVATE = (
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "100.100.100.200", "192.0.0.192", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "168.63.129.16", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1",
    "2001:db8::1", "2001::1", "3fff::1",
    "64:ff9b:1::a9fe:a9fe", "100::1", "5f00::1", "4000::1",
)  # fmt: skip
HIDDEN = (
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:a00:1", "::127.0.0.1", "::a9fe:a9fe",
    "2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:c0a8:101::", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe",
    "::ffff:168.63.129.16",
)  # fmt: skip
PUBLIC = ("93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1")


@pytest.mark.parametrize("address", PRIVATE + HIDDEN)
def test_what_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(RefusedAddressError, match="not public"):
        vet([address], (), plain=False)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_not(address: str) -> None:
    assert is_public(ip_address(address))
    vet([address], (), plain=False)


def test_one_refused_address_refuses_the_name() -> None:
    with pytest.raises(RefusedAddressError, match=r"10\.0\.0\.7"):
        vet(["8.8.8.8", "10.0.0.7"], (), plain=False)


def test_an_allowed_network_is_allowed_in_every_writing_and_nothing_else_is() -> None:
    allowed = networks("127.0.0.0/8, fd12::/16")
    vet(["127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fd12::1"], allowed, plain=True)
    for other in ("10.0.0.1", "::1", "fd13::1"):
        with pytest.raises(RefusedAddressError):
            vet([other], allowed, plain=False)


def test_plain_http_goes_to_allowed_networks_only() -> None:
    with pytest.raises(RefusedAddressError, match="only https"):
        vet(["8.8.8.8"], networks("10.0.0.0/8"), plain=True)


def test_a_setting_that_names_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="does not appear"):
        networks("10.0.0.0/8,intern")
