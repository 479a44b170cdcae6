"""The client's address behind proxies: one that no client can make up."""

import pytest

from config.trusted_proxies import TrustedProxies, with_client_address
from tests.fixtures.cast import issue
from tests.fixtures.gateway import in_database, running_gateway

NETWORK = TrustedProxies(["10.0.0.0/8", "127.0.0.1", "fd00::/8"])
EXACT = TrustedProxies(["10.0.0.1", "10.0.0.2"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.1:4711", "198.51.100.1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("fd00::1", "[2001:db8::7]:443", "2001:db8::7"),
        ("10.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "<script>", "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4, unknown", "10.0.0.1"),
        ("10.0.0.1", f"1.2.3.4, {'1' * 5000}", "10.0.0.1"),
        ("", "198.51.100.1", "198.51.100.1"),
        ("", "", "None"),
    ],
)
def test_the_entry_of_a_trusted_peer_counts(peer, forwarded, address):
    assert str(NETWORK.client_address(peer, forwarded=forwarded)) == address


def test_a_client_inside_a_trusted_network_cannot_write_another_address():
    assert str(NETWORK.client_address("10.0.0.1", forwarded="203.0.113.9, 10.7.7.7")) == "10.7.7.7"


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("203.0.113.9, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("198.51.100.1, 10.0.0.3", "10.0.0.3"),
        ("10.0.0.2", "10.0.0.2"),
        ("198.51.100.1, unknown, 10.0.0.2", "10.0.0.2"),
    ],
)
def test_exact_proxies_may_stand_behind_each_other(forwarded, address):
    assert str(EXACT.client_address("10.0.0.1", forwarded=forwarded)) == address


async def status_of(member, **headers):
    async with running_gateway() as gateway:
        answer = await gateway.get(member, "/v1/models", headers=headers)
        return answer.status


@pytest.mark.parametrize(
    ("proxies", "forwarded", "status"),
    [
        (["127.0.0.0/8"], "203.0.113.9", 200),
        (["127.0.0.0/8"], "203.0.113.9, 127.0.0.2", 403),
        (["127.0.0.1", "127.0.0.2"], "203.0.113.9, 127.0.0.2", 200),
        (["127.0.0.1"], "203.0.113.9, 127.0.0.2", 403),
        (["10.0.0.0/8"], "203.0.113.9", 403),
    ],
)
async def test_a_key_is_bound_to_the_address_behind_proxies(
    acme, settings, proxies, forwarded, status
):
    settings.TRUSTED_PROXIES = proxies
    member = await in_database(issue, acme.tenant, allowed_networks=["203.0.113.0/24"])

    assert await status_of(member, **{"x-forwarded-for": forwarded}) == status


async def test_a_socket_is_bound_in_the_same_way(acme, settings):
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    member = await in_database(issue, acme.tenant, allowed_networks=["203.0.113.0/24"])

    async with running_gateway() as gateway:
        headers = {**member.bearer, "x-forwarded-for": "203.0.113.9"}
        async with gateway.client.ws_connect(gateway.url + "/v1/responses", headers=headers) as ws:
            assert not ws.closed


async def test_a_peer_without_an_address_is_no_proxy(settings):
    """The server finds none when the client has reset the connection before it was accepted."""
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    seen = []

    async def application(scope, receive, send):
        seen.append(scope["client"])

    scope = {"type": "http", "client": None, "headers": [(b"x-forwarded-for", b"203.0.113.9")]}
    await with_client_address(application)(scope, None, None)

    assert seen == [None]
