"""A field that was renamed is accepted under its old name, and the answer says so."""

import pytest
from drf_spectacular.generators import SchemaGenerator

from agents import services as agents
from config.api import urls as api_urls


@pytest.fixture
def start(console, acme, route):
    """Start a rollout of an agent over the management API."""
    agent = agents.create_agent(tenant=acme, slug="helper", name="Helper", route=route)
    agents.publish(agent=agent)
    agent.instructions = "Be brief."
    agents.save_draft(agent=agent)

    def post(**body):
        path = f"/api/v1/agents/{agent.pk}/rollout?tenant=acme"
        return console.post(path, {"share": 5, **body}, content_type="application/json")

    return post


def test_an_old_name_is_accepted_and_the_answer_has_the_new_one(start):
    answer = start(least_runs=7, most_errors=3)

    assert answer.status_code == 201
    assert (answer.json()["min_runs"], answer.json()["max_error_rate_increase_points"]) == (7, 3)
    assert "least_runs" not in answer.json()
    assert answer["Deprecation"] == "@1795996800"
    assert answer["Link"] == '</api/docs/>; rel="deprecation"; type="text/html"'
    assert answer["Warning"] == (
        '299 - "least_runs is deprecated: use min_runs", '
        '299 - "most_errors is deprecated: use max_error_rate_increase_points"'
    )


def test_new_names_are_not_deprecated(start):
    answer = start(min_runs=7)

    assert answer.status_code == 201
    assert not {"Deprecation", "Link", "Warning"} & set(answer.headers)


def test_both_names_with_one_value_are_accepted(start):
    answer = start(min_runs=7, least_runs=7)

    assert (answer.status_code, answer.json()["min_runs"]) == (201, 7)
    assert answer["Warning"] == '299 - "least_runs is deprecated: use min_runs"'


def test_both_names_with_different_values_are_refused(start):
    answer = start(min_runs=7, least_runs=8)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (
        *(400, "invalid_parameter", "least_runs"),
    )
    assert "least_runs is the old name of min_runs" in error["message"]


def test_a_wrong_value_under_an_old_name_is_refused_with_a_warning(start):
    answer = start(least_runs=-1)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "min_runs")
    assert answer["Warning"] == '299 - "least_runs is deprecated: use min_runs"'


def test_the_document_marks_old_names_as_deprecated():
    assert api_urls.urlpatterns
    schemas = SchemaGenerator().get_schema(public=True)["components"]["schemas"]
    properties = schemas["NewRollout"]["properties"]

    assert properties["least_runs"] == {
        "type": "integer",
        "minimum": 0,
        "maximum": 1_000_000,
        "deprecated": True,
        "writeOnly": True,
        "description": "The old name of `min_runs`.",
    }
    assert "deprecated" not in properties["min_runs"]
