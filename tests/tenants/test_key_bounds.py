"""What people of a lower rank may make of a key that somebody with a higher one has limited."""

from datetime import UTC, datetime, timedelta

import pytest

from tenants.api_keys.bounds import IS_WITHIN, Rank, bounds_of, changed_bounds, widened
from tenants.services import KEY_FIELDS

EVERY = ["chat", "embeddings", "models"]
END = datetime(2026, 12, 1, tzinfo=UTC)
LIMITED = {
    "scopes": ["chat"],
    "allowed_models": ["tiny", "huge"],
    "allowed_networks": ["10.0.0.0/8", "2001:db8::/32"],
    "expires_at": END,
}
OPEN = {"scopes": EVERY, "allowed_models": [], "allowed_networks": [], "expires_at": None}


def bounds(values=LIMITED, rank=Rank.OPERATOR):
    return bounds_of(values, every_scope=EVERY, rank=rank)


def test_every_field_of_a_key_that_limits_has_a_bound():
    no_limits = {"name", "member"}
    assert set(KEY_FIELDS) - no_limits == set(IS_WITHIN) == set(bounds())


def test_what_limits_nothing_binds_nobody():
    assert bounds(OPEN) == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scopes", ["chat", "models"]),
        ("scopes", EVERY),
        ("allowed_models", []),
        ("allowed_models", ["tiny", "other"]),
        ("allowed_networks", []),
        ("allowed_networks", ["0.0.0.0/0"]),
        ("allowed_networks", ["10.0.0.0/7"]),
        ("allowed_networks", ["10.1.0.0/16", "192.0.2.1"]),
        ("allowed_networks", ["::/0"]),
        ("expires_at", None),
        ("expires_at", END + timedelta(seconds=1)),
    ],
)
@pytest.mark.parametrize("rank", [Rank.DEVELOPER, Rank.ADMIN])
def test_a_lower_rank_widens_nothing(rank, field, value):
    assert widened({field: value}, bounds(), rank=rank) == [field]
    assert widened({field: value}, bounds(), rank=Rank.OPERATOR) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scopes", ["chat"]),
        ("scopes", []),
        ("allowed_models", ["huge"]),
        ("allowed_networks", ["10.1.2.3"]),
        ("allowed_networks", ["10.0.0.0/8", "2001:db8:1::/48"]),
        ("expires_at", END),
        ("expires_at", END - timedelta(days=1)),
    ],
)
def test_a_lower_rank_narrows_and_goes_back(field, value):
    assert widened({field: value}, bounds(), rank=Rank.DEVELOPER) == []
    narrowed = changed_bounds({field: value}, bounds(), every_scope=EVERY, rank=Rank.DEVELOPER)
    assert narrowed == bounds()
    assert widened({field: LIMITED[field]}, narrowed, rank=Rank.DEVELOPER) == []


@pytest.mark.parametrize("field", IS_WITHIN)
def test_the_same_rank_or_a_higher_one_takes_a_bound_away(field):
    opened = {field: OPEN[field]}
    for rank in (Rank.ADMIN, Rank.OPERATOR):
        by_admin = bounds(rank=Rank.ADMIN)
        assert widened(opened, by_admin, rank=rank) == []
        left = changed_bounds(opened, by_admin, every_scope=EVERY, rank=rank)
        assert set(left) == set(IS_WITHIN) - {field}


def test_what_a_developer_limits_a_developer_widens():
    mine = changed_bounds(LIMITED, {}, every_scope=EVERY, rank=Rank.DEVELOPER)
    assert widened(OPEN, mine, rank=Rank.DEVELOPER) == []
