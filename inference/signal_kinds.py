"""What a policy may go by: the signals, in the words of pages, metrics and the API. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One kind of signal."""

    label: str
    unit: str
    is_sum: bool
    """Of the whole pool, wanted in equal parts of its replicas. Otherwise a mean of replicas."""
    is_share: bool = False
    """In per cent of something: more than 100 cannot be."""
    asks_prometheus: bool = False
    """No engine tells it; a query to Prometheus does."""


MEASURES: Mapping[str, Measure] = {
    "waiting": Measure(label="Waiting requests", unit="requests per replica", is_sum=True),
    "in_flight": Measure(label="Requests in flight", unit="requests per replica", is_sum=True),
    "request_rate": Measure(label="Request rate", unit="requests/s per replica", is_sum=True),
    "ttft_p95": Measure(label="Time to first token, p95", unit="ms", is_sum=False),
    "kv_cache": Measure(label="KV cache in use", unit="%", is_sum=False, is_share=True),
    "cpu": Measure(label="CPU", unit="%", is_sum=False, is_share=True, asks_prometheus=True),
    "memory": Measure(label="Memory", unit="%", is_sum=False, is_share=True, asks_prometheus=True),
    "gpu": Measure(label="GPU", unit="%", is_sum=False, is_share=True, asks_prometheus=True),
}
"""By the name of the signal. Demand on a pool at zero is no signal with a target: it wakes."""
