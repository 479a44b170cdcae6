"""Principals: when, from where and for what a key may be used."""

import pytest

from tenants.admission.principal import Principal, ensure_usable
from tenants.errors import (
    ExpiredApiKey,
    IpNotAllowed,
    RevokedApiKey,
    ScopeNotGranted,
    TenantSuspended,
)
from tests.fixtures.limits.principals import principal

NOW = 1_000_000.0
WRONGS = {
    RevokedApiKey: {"blocked": True},
    ExpiredApiKey: {"expires_at": NOW - 1},
    TenantSuspended: {"tenant_active": False},
    ScopeNotGranted: {"scopes": frozenset()},
    IpNotAllowed: {"allowed_networks": ("10.0.0.0/8",)},
}
"""In the order in which they are told."""


def use(key: Principal, *, scope="chat", address="203.0.113.7", now=NOW):
    ensure_usable(key, scope=scope, address=address, now=now)


def test_a_key_without_a_reason_against_it_may_be_used():
    use(principal())


@pytest.mark.parametrize("reason", WRONGS)
def test_each_reason_refuses(reason):
    with pytest.raises(reason):
        use(principal(**WRONGS[reason]))


@pytest.mark.parametrize("first", range(len(WRONGS)))
def test_of_several_reasons_the_first_in_order_is_told(first):
    reasons = list(WRONGS)[first:]
    facts = {name: value for reason in reasons for name, value in WRONGS[reason].items()}

    with pytest.raises(reasons[0]):
        use(principal(**facts))


@pytest.mark.parametrize(("now", "usable"), [(NOW - 0.001, True), (NOW, False), (NOW + 1, False)])
def test_a_key_ends_at_the_moment_of_its_expiry(now, usable):
    key = principal(expires_at=NOW)

    if usable:
        use(key, now=now)
    else:
        with pytest.raises(ExpiredApiKey):
            use(key, now=now)


WITHIN = [
    ("203.0.113.7", "203.0.113.7", True),
    ("203.0.113.8", "203.0.113.7", False),
    ("203.0.113.255", "203.0.113.0/24", True),
    ("203.0.114.0", "203.0.113.0/24", False),
    ("203.0.113.9", "203.0.113.7/24", True),
    ("2001:db8::1", "2001:db8::/32", True),
    ("2001:db9::1", "2001:db8::/32", False),
    ("::ffff:203.0.113.7", "203.0.113.0/24", True),
    ("::ffff:203.0.114.7", "203.0.113.0/24", False),
    ("203.0.113.7", "::/0", False),
    ("2001:db8::1", "0.0.0.0/0", False),
    ("fe80::1%eth0", "fe80::/10", True),
    ("testclient", "0.0.0.0/0", False),
    ("", "0.0.0.0/0", False),
    (None, "0.0.0.0/0", False),
]


@pytest.mark.parametrize(("address", "network", "within"), WITHIN)
def test_a_key_is_bound_to_its_networks(address, network, within):
    key = principal(allowed_networks=(network,))

    if within:
        use(key, address=address)
    else:
        with pytest.raises(IpNotAllowed):
            use(key, address=address)


def test_one_of_several_networks_is_enough():
    use(principal(allowed_networks=("10.0.0.0/8", "203.0.113.0/24", "2001:db8::/32")))


def test_without_networks_an_unknown_address_may_use_the_key():
    use(principal(), address=None)


def test_the_missing_scope_is_named():
    with pytest.raises(ScopeNotGranted, match="'embeddings'"):
        use(principal(), scope="embeddings")


@pytest.mark.parametrize(
    ("allowed", "usable"), [((), True), (("tiny", "x"), True), (("x",), False), (("TINY",), False)]
)
def test_a_key_may_be_bound_to_models(allowed, usable):
    assert principal(allowed_models=frozenset(allowed)).may_use("tiny") is usable


def test_the_repr_shows_no_digest():
    assert "digest" not in repr(principal())
