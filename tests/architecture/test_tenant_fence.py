"""A table is a tenant's and fenced, or it is named here with the reason why not."""

import pytest
from django.apps import apps
from django.db import models

from tenants import scoping

CONTEXTS = ("kernel", "tenants", "inference", "agents", "config")

SHARED = {
    "agents.AgentNode": "processes belong to the operator",
    "agents.NodeToken": "processes belong to the operator",
    "inference.JoinToken": "engines belong to the operator",
    "inference.ModelEndpoint": "engines belong to the operator",
    "inference.ModelPool": "engines belong to the operator",
    "inference.PoolSample": "what the operator's engines did, for all tenants together",
    "inference.RouteTarget": "part of a route",
    "inference.ScalingDecision": "about the operator's engines",
    "inference.ScalingPolicy": "the operator decides how pools grow",
    "inference.ScalingSchedule": "part of a scaling policy",
    "inference.ScalingSignal": "part of a scaling policy",
    "inference.ScalingState": "about the operator's engines",
    "inference.ModelRoute": "offered to all tenants; keys narrow it down",
    "kernel.DatabaseVersion": "the version of the platform",
    "kernel.StoredCount": "numbers for Prometheus",
    "tenants.LedgerCheckpoint": "a place in the ledger of all tenants",
    "kernel.Publication": "numbers of changes, without their content",
    "tenants.Plan": "the operator's, shared by many tenants",
    "tenants.PlanQuota": "part of a plan",
    "tenants.PlanRateLimit": "part of a plan",
    "tenants.Tenant": "the tenant itself",
    "tenants.User": "a person may be a member of several tenants",
}
"""Tables without a tenant."""

UNFENCED: dict[str, str] = {}
"""Tables with a tenant that are not TenantOwned."""

OURS = [model for model in apps.get_models() if model._meta.app_label in CONTEXTS]


def names(found):
    return {model._meta.label for model in found}


def has_tenant(model):
    return any(
        isinstance(field, models.ForeignKey) and field.name == "tenant"
        for field in model._meta.get_fields()
    )


def owned():
    return [model for model in OURS if issubclass(model, scoping.TenantOwned)]


def test_a_table_without_a_tenant_is_listed():
    assert names(model for model in OURS if not has_tenant(model)) <= set(SHARED)


def test_a_table_with_a_tenant_is_fenced():
    loose = [model for model in OURS if has_tenant(model) and model not in owned()]

    assert names(loose) <= set(UNFENCED)


def test_the_lists_hold_no_table_that_is_gone():
    assert set(SHARED) | set(UNFENCED) <= names(OURS)


@pytest.mark.parametrize("model", owned(), ids=lambda model: model._meta.label)
def test_a_tenants_table_is_asked_through_the_fence(model):
    assert isinstance(model._default_manager, scoping.TenantManager)
    assert isinstance(model.objects, scoping.TenantManager)


@pytest.mark.parametrize("model", owned(), ids=lambda model: model._meta.label)
def test_a_query_says_for_whom(model):
    with pytest.raises(scoping.ScopeMissing):
        model.objects.all()
    with scoping.tenant_scope(1):
        assert '"tenant_id" = 1' in str(model.objects.all().query)
    with scoping.every_tenant():
        assert not model.objects.all().query.where
