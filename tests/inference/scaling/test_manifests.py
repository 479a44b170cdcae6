"""The displayed manifests are valid YAML with the intended values."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from inference.scaling.policies.manifests import as_yaml, quantity
from tests.architecture.source import ROOT

texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
names = st.from_regex(r"[a-z][A-Za-z]{0,8}", fullmatch=True).filter(
    lambda name: name not in {"y", "n", "on", "off", "yes", "no", "true", "false", "null"}
)
leaves = st.one_of(texts, st.integers(-9, 999), st.booleans())
trees = st.recursive(
    st.dictionaries(names, leaves, min_size=1, max_size=3),
    lambda inner: st.dictionaries(
        names, st.one_of(inner, st.lists(st.one_of(inner, leaves), max_size=3)), min_size=1
    ),
    max_leaves=8,
)


@pytest.mark.slow
@given(trees)
def test_what_is_written_is_read_back_the_same(tree):
    assert yaml.safe_load(as_yaml(tree)) == tree


def test_a_text_that_kubernetes_would_read_as_a_number_is_quoted():
    assert as_yaml({"namespace": "1e3"}) == 'namespace: "1e3"\n'


def test_numbers_are_written_as_kubernetes_does():
    assert [quantity(value) for value in (10, 13.6, 0.25)] == ["10", "13600m", "250m"]


def test_the_role_allows_no_more_than_is_asked_for():
    role, _ = yaml.safe_load_all((ROOT / "deploy/k8s/engines/scaling-rbac.yaml").read_text())
    verbs = {verb for rule in role["rules"] for verb in rule["verbs"]}
    assert verbs == {"get", "list", "create", "patch"}
    assert "*" not in str(role["rules"])
    assert role["kind"] == "Role"
