"""Which rule binds a request, beside a model that was written from the documents."""

import asyncio
from collections import defaultdict

import pytest
from django.conf import settings as django_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.storage.redis import connect_async
from tenants.admission.limits.compile import Caller, checks_for
from tenants.admission.limits.price import FREE
from tenants.admission.limits.rules import QuotaRule, RateRule, TenantLimits
from tenants.admission.redis_counters.counters import Counters
from tenants.errors import QuotaExhausted, TooManyAtOnce
from tenants.limits.effective import compare, in_force
from tenants.windows import Calendar
from tests.fixtures.limits.checks import NOW
from tests.fixtures.limits.counters import PATIENT
from tests.fixtures.limits.gate import Truth, assemble
from tests.fixtures.limits.limit_model import Asker, Gatekeeper, Written, binding
from tests.fixtures.limits.principals import principal

KEYS = (1, 2)
MEMBERS = (5, 6)
ROUTES = ("tiny", "huge")
REQUEST_KINDS = ("chat", "embeddings")
ANY = ""
ANY_LIMIT = st.integers(1, 10**6)
SMALL_LIMIT = st.integers(1, 3)
SECONDS = {3600: "hour", 86_400: "day"}


@st.composite
def rules(draw, *, most=ANY_LIMIT, units=("requests", "tokens", "cost")):
    """Rules as tables allow them: one of a slot in a plan, one of a slot and owner of a tenant."""
    drawn = draw(st.lists(st.fixed_dictionaries(facts(units)), max_size=14))
    found = {}
    for number, fields in enumerate(drawn):
        owners = {"key": KEYS, "member": MEMBERS}.get(fields["per"], ())
        only = None if fields["in_plan"] else draw(st.sampled_from((None, *owners)))
        quota = {"unit": ANY, "period": ANY} if fields["unit"] == ANY else {}
        rule = Written(number=number, only=only, most=draw(most), **{**fields, **quota})
        if rule.unit == ANY:
            rule = Written(**{**vars(rule), "hard": True})
        found[rule.in_plan, rule.only, rule.slot] = rule
    return list(found.values())


def facts(units):
    return {
        "in_plan": st.booleans(),
        "per": st.sampled_from(("tenant", "key", "member")),
        "route": st.sampled_from((ANY, *ROUTES)),
        "request_kind": st.sampled_from((ANY, *REQUEST_KINDS)),
        "shadow": st.booleans(),
        "unit": st.sampled_from((ANY, *units)),
        "period": st.sampled_from(("hour", "day", "month")),
        "hard": st.booleans(),
    }


askers = st.builds(
    Asker,
    key=st.sampled_from(KEYS),
    member=st.sampled_from((None, *MEMBERS)),
    route=st.sampled_from(ROUTES),
    request_kind=st.sampled_from(REQUEST_KINDS),
)


def as_rule(rule):
    whom = {
        "per": rule.per, "route": rule.route, "request_kind": rule.request_kind,
        "shadow": rule.shadow,
        "key_id": rule.only if rule.per == "key" else None,
        "member_id": rule.only if rule.per == "member" else None,
        "source": str(rule.number),
    }  # fmt: skip
    if not rule.unit:
        return RateRule(concurrency=rule.most, **whom)
    calendar = Calendar(period=rule.period)
    return QuotaRule(unit=rule.unit, limit=rule.most, hard=rule.hard, calendar=calendar, **whom)


def limits_of(written):
    """As they are worked out from the tables."""
    plans = [(as_rule(rule), None) for rule in written if rule.in_plan]
    own = [(as_rule(rule), None) for rule in written if not rule.in_plan]
    kinds = defaultdict(list)
    for kind in (RateRule, QuotaRule):
        chosen = [[pair for pair in rows if isinstance(pair[0], kind)] for rows in (plans, own)]
        kinds[kind] = in_force(compare(*chosen), kind)
    return TenantLimits(tenant_id=7, rates=tuple(kinds[RateRule]), quotas=tuple(kinds[QuotaRule]))


def caller_of(asker, *, secret=0):
    """`secret` is the key that is used; the first of its rotations is the asker's."""
    return Caller(
        tenant_id=7, key_id=secret or asker.key, lineage_id=asker.key if secret else None,
        member_id=asker.member, route=asker.route, request_kind=asker.request_kind, price=FREE,
    )  # fmt: skip


def place_of(scope, unit="", period=""):
    owner, *parts = scope.split("|")
    named = dict(part.split("=") for part in parts)
    per = owner.partition(":")[0]
    shadow = str(named.get("mode") == "shadow")
    return (owner, per, named.get("route", ANY), named.get("door", ANY), unit, period, shadow)


def found_in(checks):
    """Each limit that is checked: where it counts, what it allows, and whether it refuses."""
    found = {}
    for scope in checks.scopes:
        if scope.concurrency:
            found[place_of(scope.scope)] = (scope.concurrency, scope.enforced)
        for quota in scope.quotas:
            period = SECONDS.get(quota.end - quota.start, "month")
            place = place_of(scope.scope, quota.unit, period)
            found[place] = (quota.limit, quota.hard)
    return found


@pytest.mark.slow
@given(rules(), askers)
@settings(max_examples=300, deadline=None)
def test_the_rules_that_are_checked_are_those_of_the_documents(written, asker):
    checks = checks_for(limits_of(written), caller_of(asker), now=NOW)

    expected = binding(written, asker)

    assert found_in(checks) == {
        place: (rule.most, rule.refuses) for place, rule in expected.items()
    }


@pytest.mark.slow
@given(rules(), askers)
@settings(max_examples=100, deadline=None)
def test_taking_a_rule_in_shadow_mode_away_changes_nothing_that_is_enforced(written, asker):
    enforced = [rule for rule in written if not rule.shadow]

    with_shadow = found_in(checks_for(limits_of(written), caller_of(asker), now=NOW))
    without = found_in(checks_for(limits_of(enforced), caller_of(asker), now=NOW))

    assert {place: each for place, each in with_shadow.items() if place[-1] == "False"} == without


@pytest.mark.slow
@given(rules(), askers)
@settings(max_examples=100, deadline=None)
def test_a_rotated_key_meets_the_same_counters(written, asker):
    limits = limits_of(written)

    old = checks_for(limits, caller_of(asker), now=NOW)
    new = checks_for(limits, caller_of(asker, secret=99), now=NOW)

    assert (new.scopes, new.key_id) == (old.scopes, 99)


@given(rules(most=SMALL_LIMIT, units=("requests",)), st.lists(askers, max_size=8))
@settings(max_examples=25, deadline=None)
def test_what_is_admitted_is_what_the_documents_say(written, sent):
    assert asyncio.run(admitted(limits_of(written), sent)) == expected_of(written, sent)


def expected_of(written, sent):
    gatekeeper = Gatekeeper(written)
    scopes = {rule.number: rule for rule in written}
    answers = [gatekeeper.ask(asker) for asker in sent]
    return [
        (passes, {(asker.whose(scopes[each]), *scopes[each].slot[:3]) for each in noted})
        for asker, (passes, noted) in zip(sent, answers, strict=True)
    ]


async def admitted(limits, sent):
    """Through the real gate, on real counters. No request ends."""
    redis = connect_async(django_settings.REDIS_LIMITS_URL)
    await redis.flushdb()
    truth = Truth()
    async with Counters(redis, truth.load, timeout=PATIENT) as counters:
        running = assemble(redis, counters, truth)
        running.limits[7] = limits
        answers = [await passes(running, asker) for asker in sent]
    await redis.aclose()
    return answers


async def passes(running, asker):
    who = principal(
        tenant_id=7, key_id=asker.key + 100, lineage_id=asker.key, member_id=asker.member
    )
    try:
        admission = await running.admit(
            principal=who, route=asker.route, request_kind=asker.request_kind
        )
    except (QuotaExhausted, TooManyAtOnce):
        return False, set()
    breaches = {place_of(each.scope)[:4] for each in admission.decision.granted.shadowed}
    return True, breaches
