"""The signals of scaling policies, as pages, metrics and the API name them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalKind:
    """One kind of signal."""

    label: str
    unit: str
    is_sum: bool
    """Whether the value is the sum of the pool; otherwise it is a mean of its replicas."""
    is_share: bool = False
    """Whether the value is a percentage of at most 100."""
    uses_prometheus: bool = False
    """Whether the value comes from a Prometheus query."""


MEASURES: Mapping[str, SignalKind] = {
    "waiting": SignalKind(label="Waiting requests", unit="requests per replica", is_sum=True),
    "in_flight": SignalKind(label="Requests in flight", unit="requests per replica", is_sum=True),
    "request_rate": SignalKind(label="Request rate", unit="requests/s per replica", is_sum=True),
    "ttft_p95": SignalKind(label="Time to first token, p95", unit="ms", is_sum=False),
    "kv_cache": SignalKind(label="KV cache in use", unit="%", is_sum=False, is_share=True),
    "cpu": SignalKind(label="CPU", unit="%", is_sum=False, is_share=True, uses_prometheus=True),
    "memory": SignalKind(
        label="Memory", unit="%", is_sum=False, is_share=True, uses_prometheus=True
    ),
    "gpu": SignalKind(label="GPU", unit="%", is_sum=False, is_share=True, uses_prometheus=True),
}
"""The kinds by name. Demand for a pool at zero has no target: it starts a replica."""
