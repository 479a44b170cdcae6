"""The Kubernetes actuator with a fake API: scaling, and all failures."""

import logging

import pytest
from django.urls import reverse

from inference.errors import ActuatorFailed, PolicyRefused
from inference.models import ScalingDecision, ScalingPolicy
from inference.scaling.actuators import cluster
from inference.scaling.actuators.actuator import Order
from inference.scaling.actuators.kubernetes import Kubernetes
from inference.scaling.evaluation import evaluate_pools
from inference.scaling.policies.kubernetes_export import apply_policy, compiled, difference
from inference.scaling.policies.mapping import Signal
from tests.fakes.kube_api import kube_api, kubeconfig, scale_of
from tests.fixtures.console.limit_forms import sentences
from tests.fixtures.fleet.fleet_state import redis, report
from tests.fixtures.fleet.manifests import ensure_valid
from tests.fixtures.fleet.scaling import NOON, at, beat, engine, load, make_policy
from tests.fixtures.servers.ports import free_port

__all__ = ["load", "redis", "report"]

pytest.importorskip("lightkube")
TARGET = {"kind": "Deployment", "namespace": "engines", "name": "engine"}
SCALE = "/apis/apps/v1/namespaces/engines/deployments/engine/scale"
HPA = "/apis/autoscaling/v2/namespaces/engines/horizontalpodautoscalers/engine"


@pytest.fixture
def api(tmp_path, monkeypatch):
    with kube_api() as server:
        monkeypatch.setenv("KUBECONFIG", kubeconfig(server, tmp_path / "kubeconfig"))
        server.objects[SCALE] = scale_of(2)
        yield server


def order(**facts):
    return Order(pool_id=1, pool="small", settings={**TARGET, **facts})


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("Deployment", "apps/v1/namespaces/engines/deployments"),
        ("StatefulSet", "apps/v1/namespaces/engines/statefulsets"),
        (
            "LeaderWorkerSet",
            "leaderworkerset.x-k8s.io/v1/namespaces/engines/leaderworkersets",
        ),
    ],
)
def test_the_scale_of_each_kind_is_read_and_changed(api, kind, place):
    path = f"/apis/{place}/engine/scale"
    api.objects[path] = scale_of(2)
    assert Kubernetes().read(order(kind=kind)) == 2
    said = Kubernetes().scale(order(kind=kind), before=2, after=5)
    assert said == "engine is set to 5 replicas."
    assert api.patches[-1] == (path, {"spec": {"replicas": 5}})


def test_a_call_that_succeeds_leaves_no_line_in_the_log(api, caplog):
    """With one line every 15 seconds and pool, the log would be unusable."""
    caplog.set_level(logging.INFO)
    Kubernetes().read(order())
    assert caplog.records == []


def test_what_is_so_already_is_not_written_again(api):
    assert "already" in Kubernetes().scale(order(), before=1, after=2)
    assert api.patches == []


def test_the_idlest_pods_are_to_go_first(api):
    for name, address in (("busy", "10.0.0.1"), ("idle", "10.0.0.2")):
        api.pods.append({"metadata": {"name": name}, "status": {"podIP": address}})
    idlest = ("http://10.0.0.2:8000", "http://10.0.0.1:8000")
    asked = Order(pool_id=1, pool="small", settings=TARGET, least_loaded=idlest)
    Kubernetes().scale(asked, before=2, after=1)
    costs = {
        path.rsplit("/", 1)[1]: body["metadata"]["annotations"][cluster.DELETION_COST]
        for path, body in api.patches
        if "/pods/" in path
    }
    assert costs == {"idle": "0", "busy": "1"}
    assert api.objects[SCALE]["spec"]["replicas"] == 1


def test_a_change_by_somebody_else_at_the_same_time_is_no_failure(api):
    api.failures = [None, 409]
    Kubernetes().scale(order(), before=2, after=3)
    assert api.objects[SCALE]["spec"]["replicas"] == 3


def test_but_one_that_never_ends_is(api):
    api.failures = [None, 409, 409, 409]
    with pytest.raises(ActuatorFailed, match="another client keeps changing the object"):
        Kubernetes().scale(order(), before=2, after=3)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (401, "rejects the credentials"),
        (403, "check the role in deploy/k8s/engines/scaling-rbac.yaml"),
        (404, "has no such object"),
        (500, "answered with status 500"),
        ("garbage", "Kubernetes API"),
        ("stall", "request to the Kubernetes API"),
    ],
)
def test_every_failure_is_a_sentence(api, failure, words, monkeypatch):
    monkeypatch.setattr(cluster, "CALL_TIMEOUT_SECONDS", 0.3)
    api.stall_seconds = 1
    api.failures = [failure]
    with pytest.raises(ActuatorFailed) as failed:
        Kubernetes().read(order())
    assert words in failed.value.message
    assert "127.0.0.1" not in failed.value.message


def test_a_cluster_that_is_away_is_a_sentence(api, tmp_path, monkeypatch):
    api.server_port = free_port()
    monkeypatch.setenv("KUBECONFIG", kubeconfig(api, tmp_path / "away"))
    with pytest.raises(ActuatorFailed, match="request to the Kubernetes API"):
        Kubernetes().read(order())


@pytest.mark.parametrize("missing", ["namespace", "name", "kind"])
def test_a_policy_says_what_is_to_be_scaled(pool, missing):
    with pytest.raises(PolicyRefused, match=f"has no {missing}"):
        make_policy(pool, actuator="kubernetes", actuator_settings={**TARGET, missing: ""})


def test_only_what_has_a_scale_can_be_scaled(pool):
    with pytest.raises(PolicyRefused, match="'DaemonSet' cannot be scaled"):
        make_policy(pool, actuator="kubernetes", actuator_settings={**TARGET, "kind": "DaemonSet"})


@pytest.fixture
def policy(pool, api):
    return make_policy(pool, mode="apply", actuator="kubernetes", actuator_settings=TARGET)


def test_a_decision_is_carried_out_in_the_cluster(policy, pool, api, load):
    load(pool, 50, engine(pool))
    evaluate_pools(now=NOON)
    decision = ScalingDecision.objects.get()
    assert (decision.replicas, decision.desired, decision.outcome) == (2, 5, "applied")
    assert api.objects[SCALE]["spec"]["replicas"] == 5


def test_rights_that_were_revoked_leave_the_pool_as_it_is(policy, pool, api, load):
    load(pool, 50, engine(pool))
    api.failures = [None, None, 403]
    evaluate_pools(now=NOON)
    decision = ScalingDecision.objects.get()
    assert decision.outcome == "failed"
    assert "check the role" in decision.note
    assert api.objects[SCALE]["spec"]["replicas"] == 2


@pytest.mark.slow
def test_five_minutes_without_the_cluster_bring_no_jump(policy, pool, api, load):
    one = engine(pool)
    load(pool, 20, one)
    evaluate_pools(now=NOON)
    for step in range(1, 21):
        api.failures = [500]
        beat(one, now=at(15 * step))
        evaluate_pools(now=at(15 * step))
    rows = ScalingDecision.objects.filter(limited_by="actuator")
    assert 1 <= rows.count() <= 3
    assert "Nothing is changed" in rows[0].reason
    beat(one, now=at(315))
    load(pool, 1, one)
    evaluate_pools(now=at(315))
    assert api.objects[SCALE]["spec"]["replicas"] == 2


def autoscaled(pool, *signals, flavour="hpa", **facts):
    chosen = {**TARGET, "flavour": flavour}
    return make_policy(pool, *signals, actuator="hpa", actuator_settings=chosen, **facts)


def test_a_policy_becomes_an_autoscaler_with_the_same_manners(pool):
    cache = Signal(kind="kv_cache", target=70.5)
    policy = autoscaled(pool, Signal(kind="waiting", target=10), cache, down_window=600)
    spec = compiled(policy)["spec"]
    targets = {
        m["external"]["metric"]["selector"]["matchLabels"]["signal"]: m for m in spec["metrics"]
    }
    assert targets["waiting"]["external"]["target"] == {
        "type": "AverageValue",
        "averageValue": "10",
    }
    assert targets["kv_cache"]["external"]["target"] == {"type": "Value", "value": "70500m"}
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 600
    assert spec["behavior"]["scaleUp"]["policies"] == [
        {"type": "Percent", "value": 100, "periodSeconds": 15},
        {"type": "Pods", "value": 4, "periodSeconds": 15},
    ]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 10)


def test_a_scaled_object_rests_and_wakes_on_demand(pool, settings):
    settings.PROMETHEUS_URL = "http://prometheus:9090"
    spec = compiled(autoscaled(pool, flavour="keda", idle_seconds=600))["spec"]
    assert (spec["minReplicaCount"], spec["cooldownPeriod"]) == (0, 600)
    assert 'signal="demand"' in spec["triggers"][-1]["metadata"]["query"]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"idle_seconds": 600}, "neither zero replicas"),
        ({"up_cooldown": 60}, "use a stabilization window instead"),
    ],
)
def test_what_an_autoscaler_cannot_do_is_refused(pool, facts, words):
    with pytest.raises(PolicyRefused, match=words):
        autoscaled(pool, **facts)
    assert not ScalingPolicy.objects.exists()


def test_the_difference_to_the_cluster_is_shown_and_gone_once_applied(pool, api):
    policy = autoscaled(pool)
    assert any(
        '"maxReplicas"' in line or "maxReplicas" in line for line in difference(compiled(policy))
    )
    assert apply_policy(policy) == "HorizontalPodAutoscaler engine is applied."
    assert api.objects[HPA]["spec"]["maxReplicas"] == 10
    api.objects[HPA]["spec"]["filledIn"] = "by the cluster"
    assert difference(compiled(policy)) == []
    policy.max_replicas = 20
    assert "+  maxReplicas: 20" in difference(compiled(policy))


def test_kubernetes_own_autoscaler_is_left_to_itself(pool, api, load):
    autoscaled(pool, mode="apply")
    load(pool, 50, engine(pool))
    evaluate_pools(now=NOON)
    assert ScalingDecision.objects.get().outcome == "recommended"
    assert api.patches == []


def test_the_page_shows_the_manifest_and_applies_it(console, pool, api):
    autoscaled(pool)
    place = reverse("admin:scaling_manifest", args=("small",))
    assert "HorizontalPodAutoscaler" in sentences(console.get(place))
    assert "engine is applied" in sentences(console.post(place, follow=True))
    assert "None: the cluster already has this manifest." in sentences(console.get(place))


def test_the_page_shows_the_manifest_without_a_cluster_too(console, pool, api):
    autoscaled(pool)
    api.failures = [403]
    text = sentences(console.get(reverse("admin:scaling_manifest", args=("small",))))
    assert "check the role" in text
    assert "minReplicas: 1" in text


def test_a_pool_that_is_scaled_otherwise_has_no_manifest(console, pool):
    make_policy(pool)
    assert console.get(reverse("admin:scaling_manifest", args=("small",))).status_code == 404


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"down_select": "disabled"},
        {"up_percent": None, "up_replicas": None, "down_window": 0},
        {"min_replicas": 2, "max_replicas": 200},
    ],
)
def test_kubernetes_own_schema_takes_the_autoscaler(pool, facts):
    signals = (Signal(kind="waiting", target=2.5), Signal(kind="kv_cache", target=70))
    ensure_valid(compiled(autoscaled(pool, *signals, **facts)))
