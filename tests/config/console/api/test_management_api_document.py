"""The document of the management API says what its answers may be."""

import jsonschema
import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from rest_framework import serializers

from config.api import urls as api_urls

OURS = ("agents", "config", "inference", "tenants")


@pytest.fixture(scope="module")
def document():
    assert api_urls.urlpatterns
    return SchemaGenerator().get_schema(public=True)


def operations(document):
    return [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in {"get", "post", "put", "patch", "delete"}
    ]


def test_every_operation_says_how_it_fails(document):
    reference = {"$ref": "#/components/schemas/Error"}
    silent = [
        (path, method, status)
        for path, method, operation in operations(document)
        for status in ("4XX", "5XX")
        if operation["responses"].get(status, {}).get("content")
        != {"application/json": {"schema": reference}}
    ]

    assert len(operations(document)) > 100
    assert silent == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("get", "tenants", 401), ("get", "nowhere", 404), ("delete", "tenants", 401)],
)
def test_a_failure_is_as_it_is_described(document, method, path, status):
    answer = getattr(Client(), method)(f"/api/v1/{path}")

    assert answer.status_code == status
    error = document["components"]["schemas"]["Error"]
    error["properties"]["error"]["properties"]["param"] |= {"type": ["string", "null"]}
    jsonschema.validate(answer.json(), error)


def test_a_page_has_at_least_one_row(document):
    sizes = [
        parameter["schema"]
        for _, _, operation in operations(document)
        for parameter in operation.get("parameters", ())
        if parameter["name"] == "page_size"
    ]

    assert len(sizes) > 20
    assert all(size == {"type": "integer", "minimum": 1} for size in sizes)


def test_a_text_of_an_answer_may_be_empty(document):
    schemas = document["components"]["schemas"]

    for name in ("route", "overridden_by"):
        assert "minLength" not in schemas["QuotaInForce"]["properties"][name]


def every_serializer(kind=serializers.ModelSerializer):
    for each in kind.__subclasses__():
        if each.__module__.partition(".")[0] in OURS:
            yield each
        yield from every_serializer(each)


def may_be_null(model, source):
    """Whether a column, or a relation on the way to it, may be empty."""
    for step in source.split("."):
        if step not in {field.name for field in model._meta.concrete_fields}:
            return False  # a property, or rows that refer to this one
        field = model._meta.get_field(step)
        if field.null:
            return True
        model = field.related_model or model
    return False


def test_what_may_be_null_says_so(document):
    kinds = set(every_serializer())
    wrong = [
        f"{kind.__name__}.{name}"
        for kind in kinds
        for name, field in kind().fields.items()
        if field.read_only and not field.allow_null and may_be_null(kind.Meta.model, field.source)
    ]

    assert len(kinds) > 20
    assert sorted(wrong) == []
