"""The page that displays the manifest for Kubernetes' own autoscaler, and applies it."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse

from inference.errors import ActuatorFailed, PolicyRefused
from inference.models import ScalingPolicy
from inference.models.scaling_policy import ActuatorKind
from inference.scaling.policies.kubernetes_export import apply_policy, compiled, difference
from inference.scaling.policies.manifests import as_yaml


def manifest(request: HttpRequest, pool: str) -> HttpResponse:
    """Render or apply the manifest. Raises Http404 for a pool without an HPA policy."""
    policy = get_object_or_404(ScalingPolicy, pool__name=pool, actuator=ActuatorKind.HPA)
    if request.method == "POST":
        return applied(request, policy)
    context = {
        **admin.site.each_context(request),
        "title": f"Autoscaler of {pool}",
        "pool": policy.pool,
        **manifest_context(policy),
    }
    return TemplateResponse(request, "inference/manifest.html", context)


def applied(request: HttpRequest, policy: ScalingPolicy) -> HttpResponse:
    try:
        messages.success(request, apply_policy(policy))
    except (PolicyRefused, ActuatorFailed) as failure:
        messages.error(request, failure.message)
    return HttpResponseRedirect(reverse("admin:scaling_manifest", args=(policy.pool.name,)))


def manifest_context(policy: ScalingPolicy) -> dict[str, Any]:
    """Return the manifest and, if the cluster answers, its diff with the cluster."""
    try:
        wanted = compiled(policy)
    except PolicyRefused as refusal:
        return {"refusal": refusal.message}
    context: dict[str, Any] = {"yaml": as_yaml(wanted)}
    try:
        return {**context, "lines": [(colour_of(line), line) for line in difference(wanted)]}
    except ActuatorFailed as failure:
        return {**context, "trouble": failure.message}


def colour_of(line: str) -> str:
    if line.startswith(("+++", "---", "@@")):
        return "console-place"
    return {"+": "console-added", "-": "console-removed"}.get(line[:1], "")
