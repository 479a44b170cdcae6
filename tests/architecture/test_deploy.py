"""What deploy/ says is valid, agrees with itself, and names only what exists."""

import json
import re

import kubernetes_validate
import pytest
import yaml

from tests.architecture.source import ROOT
from tests.architecture.test_docs_in_step import documented, metrics
from tests.fixtures.fleet.manifests import documents, ensure_valid

DEPLOY = ROOT / "deploy"
FILES = sorted(
    path for path in (DEPLOY / "k8s").rglob("*.yaml") if path.name != "kustomization.yaml"
)
ALL = [(path.name, each) for path in FILES for each in documents(path)]
NAMES = [f"{name}-{each['kind']}-{each['metadata']['name']}" for name, each in ALL]
HISTOGRAM_PARTS = r"_(bucket|sum|count)$"


def found(kind, name):
    (one,) = [each for _, each in ALL if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return one


def pods():
    return {
        (each["metadata"]["namespace"], each["metadata"]["name"]): each["spec"]["template"]
        for _, each in ALL
        if each["kind"] in {"Deployment", "Job"}
    }


CONFIG = found("ConfigMap", "tenantry-config")["data"]


@pytest.mark.slow
@pytest.mark.parametrize("manifest", [each for _, each in ALL], ids=NAMES)
def test_a_manifest_is_valid(manifest):
    ensure_valid(manifest)


def test_a_field_that_kubernetes_does_not_know_is_noticed():
    wrong = found("Deployment", "gateway")
    wrong = {**wrong, "spec": {**wrong["spec"], "replicaz": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        ensure_valid(wrong)


@pytest.mark.parametrize("folder", ["platform", "engines"])
def test_a_kustomization_names_files_that_are_there(folder):
    (kustomization,) = documents(DEPLOY / "k8s" / folder / "kustomization.yaml")
    for name in kustomization["resources"]:
        assert (DEPLOY / "k8s" / folder / name).is_file()


@pytest.mark.parametrize("name", ["gateway", "agent-node"])
def test_a_gateway_that_ends_has_time_for_what_it_promises(name):
    spec = pods()["tenantry", name]["spec"]
    promised = int(CONFIG["TENANTRY_DRAIN_SECONDS"]) + int(CONFIG["TENANTRY_LEAVE_SECONDS"])
    assert spec["terminationGracePeriodSeconds"] >= promised + 30


def test_an_engine_that_ends_has_time_for_what_runs():
    spec = pods()["engines", "small"]["spec"]
    (drain,) = [
        float(each.partition("=")[2])
        for each in spec["containers"][0]["args"]
        if each.startswith("--drain-seconds=")
    ]
    assert spec["terminationGracePeriodSeconds"] >= drain + 20


def test_every_setting_of_the_config_is_documented():
    assert set(CONFIG) <= documented("configuration.md")


def test_no_secret_stands_in_a_manifest():
    assert not [each for _, each in ALL if each["kind"] == "Secret"]


@pytest.mark.parametrize("place", pods(), ids="/".join)
def test_selectors_find_their_pods(place):
    labels = pods()[place]["metadata"]["labels"]
    for _, each in ALL:
        if (each["metadata"].get("namespace"), each["metadata"]["name"]) != place:
            continue
        selector = each.get("spec", {}).get("selector") or {}
        wanted = selector.get("matchLabels", selector)
        assert wanted.items() <= labels.items(), each["kind"]


@pytest.mark.parametrize("name", ["console", "gateway", "agent-node", "worker", "beat", "migrate"])
def test_a_pod_of_the_platform_has_no_more_rights_than_it_needs(name):
    spec = pods()["tenantry", name]["spec"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["automountServiceAccountToken"] is (name == "worker")
    for container in spec["containers"]:
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_there_is_one_beat():
    spec = found("Deployment", "beat")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_the_scaling_role_is_bound_to_the_worker():
    (subject,) = found("RoleBinding", "tenantry-scaling")["subjects"]
    account = pods()[subject["namespace"], "worker"]["spec"]["serviceAccountName"]
    assert account == subject["name"]


def test_engines_admit_gateways_workers_and_prometheus_but_not_the_console():
    (rule,) = found("NetworkPolicy", "engines")["spec"]["ingress"]
    pods_in, monitoring = rule["from"]
    (names,) = pods_in["podSelector"]["matchExpressions"]
    (console,) = found("NetworkPolicy", "console")["spec"]["ingress"]
    assert names["values"] == ["gateway", "worker"]
    assert monitoring in console["from"], "the same label admits Prometheus everywhere"
    (port,) = pods()["engines", "small"]["spec"]["containers"][0]["ports"]
    assert rule["ports"] == [{"port": port["name"]}]


def named_metrics(text):
    known = metrics()
    names = set(re.findall(r"\btenantry_[a-z_]+", text))
    return {name if name in known else re.sub(HISTOGRAM_PARTS, "", name) for name in names}


def test_the_dashboard_draws_metrics_that_exist():
    dashboard = json.loads((DEPLOY / "grafana" / "tenantry.json").read_text())
    drawn = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    assert len(drawn) > 15
    assert named_metrics(" ".join(drawn)) <= metrics()


def test_panels_of_the_dashboard_do_not_overlap():
    dashboard = json.loads((DEPLOY / "grafana" / "tenantry.json").read_text())
    cells = [
        (place["x"] + x, place["y"] + y)
        for place in (panel["gridPos"] for panel in dashboard["panels"])
        for x in range(place["w"])
        for y in range(place["h"])
    ]
    assert len(cells) == len(set(cells))


@pytest.mark.slow
def test_alerts_are_about_metrics_that_exist_and_say_what_to_do():
    (group,) = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]:
        assert named_metrics(rule["expr"]) <= metrics(), rule["alert"]
        assert {"summary", "description"} <= rule["annotations"].keys()


def test_the_alert_about_engines_is_a_share_of_their_requests_and_not_of_a_handful():
    (group,) = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"]
    (rule,) = [each for each in group["rules"] if each["alert"] == "EnginesFail"]
    by_pool = r"sum by \(pool\) \({}\(tenantry_upstream_{}_total\[5m\]\)\)"
    failed, made = by_pool.format("rate", "errors"), by_pool.format("rate", "requests")
    in_total = by_pool.format("increase", "requests")
    assert re.fullmatch(rf"{failed} / {made} > 0\.\d+ and {in_total} > \d+", rule["expr"])
