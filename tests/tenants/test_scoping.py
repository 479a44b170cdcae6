"""The tenant fence: nobody sees rows by forgetting something."""

import asyncio

import pytest

from tenants import services
from tenants.models import ApiKey
from tenants.scoping import (
    EVERY_TENANT,
    ScopeMissing,
    current_scope,
    every_tenant,
    tenant_scope,
)


@pytest.fixture
def tenants(db):
    made = [services.create_tenant(slug=slug, name=slug) for slug in ("acme", "rival")]
    for tenant in made:
        services.issue_key(tenant=tenant, name=f"of {tenant.slug}")
    return made


def names():
    return sorted(ApiKey.objects.values_list("name", flat=True))


@pytest.mark.parametrize("ask", [names, ApiKey.objects.count, lambda: ApiKey.objects.get(pk=1)])
def test_without_a_scope_nothing_is_asked(ask):
    with pytest.raises(ScopeMissing):
        ask()


def test_a_scope_shows_its_tenant_only(tenants):
    acme, rival = tenants

    with tenant_scope(acme.pk):
        assert names() == ["of acme"]
    with tenant_scope(rival.pk):
        assert names() == ["of rival"]


def test_another_tenants_row_is_not_found_by_its_key(tenants):
    acme, rival = tenants
    with tenant_scope(rival.pk):
        theirs = ApiKey.objects.get().pk

    with tenant_scope(acme.pk):
        assert not ApiKey.objects.filter(pk=theirs).exists()
        assert ApiKey.objects.filter(pk=theirs).update(name="stolen") == 0
        assert ApiKey.objects.filter(pk=theirs).delete()[0] == 0


def test_the_fence_can_be_lifted_by_name(tenants):
    with every_tenant():
        assert names() == ["of acme", "of rival"]


def test_scopes_nest_and_end():
    with tenant_scope(1):
        with tenant_scope(2):
            assert current_scope() == 2
        assert current_scope() == 1
        with every_tenant():
            assert current_scope() == EVERY_TENANT
        assert current_scope() == 1
    with pytest.raises(ScopeMissing):
        current_scope()


def test_a_scope_ends_with_an_error_too():
    with pytest.raises(ZeroDivisionError), tenant_scope(1):
        _ = 1 / 0

    with pytest.raises(ScopeMissing):
        current_scope()


async def test_tasks_do_not_see_each_others_scope():
    async def scoped(tenant_id):
        with tenant_scope(tenant_id):
            await asyncio.sleep(0.01)
            return current_scope()

    assert await asyncio.gather(*map(scoped, range(1, 20))) == list(range(1, 20))


def test_the_services_leave_no_scope_open(tenants):
    services.issue_key(tenant=tenants[0], name="another")

    with pytest.raises(ScopeMissing):
        names()
