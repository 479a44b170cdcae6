"""The page that shows what Kubernetes' own autoscaler would be told, and tells it."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse

from inference.errors import ActuatorFailed, PolicyRefused
from inference.models import ScalingPolicy
from inference.models.scaling_policy import Actuator
from inference.scaling.policies.kubernetes_export import apply_policy, compiled, difference
from inference.scaling.policies.manifests import as_yaml


def manifest(request: HttpRequest, pool: str) -> HttpResponse:
    """Raises Http404 for a pool without such a policy."""
    policy = get_object_or_404(ScalingPolicy, pool__name=pool, actuator=Actuator.HPA)
    if request.method == "POST":
        return applied(request, policy)
    context = {
        **admin.site.each_context(request),
        "title": f"Autoscaler of {pool}",
        "pool": policy.pool,
        **shown_of(policy),
    }
    return TemplateResponse(request, "inference/manifest.html", context)


def applied(request: HttpRequest, policy: ScalingPolicy) -> HttpResponse:
    try:
        messages.success(request, apply_policy(policy))
    except (PolicyRefused, ActuatorFailed) as failure:
        messages.error(request, failure.message)
    return HttpResponseRedirect(reverse("admin:scaling_manifest", args=(policy.pool.name,)))


def shown_of(policy: ScalingPolicy) -> dict[str, Any]:
    """The manifest and, where the cluster answers, what applying it would change."""
    try:
        wanted = compiled(policy)
    except PolicyRefused as refusal:
        return {"refusal": refusal.message}
    shown: dict[str, Any] = {"yaml": as_yaml(wanted)}
    try:
        return {**shown, "lines": [(colour_of(line), line) for line in difference(wanted)]}
    except ActuatorFailed as failure:
        return {**shown, "trouble": failure.message}


def colour_of(line: str) -> str:
    if line.startswith(("+++", "---", "@@")):
        return "console-place"
    return {"+": "console-added", "-": "console-removed"}.get(line[:1], "")
