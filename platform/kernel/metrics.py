"""The names of everything we measure (CONTRACT §5), for Prometheus.

Label values come from the registry (names of routes, pools and endpoints, doors, statuses) and
never from a request: a client must not be able to make series.
"""

from functools import cache
from typing import TypeVar

from prometheus_client import Counter, Gauge, Histogram

Metric = TypeVar("Metric", Counter, Gauge, Histogram)

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
OVERHEAD_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)
PER_TOKEN_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)

OTHER = "other"
"""The label of everything that is not in the registry."""

requests = Counter("tenantry_requests_total", "Answered requests.", ["door", "route", "status"])
request_duration = Histogram(
    "tenantry_request_duration_seconds",
    "From the request's first byte to the answer's last.",
    ["door"],
    buckets=SECONDS,
)
time_to_first_token = Histogram(
    "tenantry_time_to_first_token_seconds", "Streams only.", ["route"], buckets=SECONDS
)
time_per_output_token = Histogram(
    "tenantry_time_per_output_token_seconds",
    "Time after the first token, divided by the tokens after the first.",
    ["route"],
    buckets=PER_TOKEN_SECONDS,
)
gateway_overhead = Histogram(
    "tenantry_gateway_overhead_seconds",
    "Time of a request in which it did not wait for the engine.",
    ["door"],
    buckets=OVERHEAD_SECONDS,
)
tokens = Counter("tenantry_tokens_total", "Metered tokens.", ["route", "kind"])
in_flight = Gauge(
    "tenantry_in_flight",
    "Requests that an endpoint works on.",
    ["pool", "endpoint"],
    multiprocess_mode="livesum",
)
queue_depth = Gauge(
    "tenantry_queue_depth",
    "Requests that wait until their pool can take them.",
    ["pool"],
    multiprocess_mode="livesum",
)
queue_wait = Histogram(
    "tenantry_queue_wait_seconds",
    "How long requests waited that found their pool full, until they were sent.",
    ["pool"],
    buckets=SECONDS,
)
refusals = Counter(
    "tenantry_refusals_total",
    "Requests refused before they reached an engine.",
    ["reason", "scope_kind"],
)
upstream_errors = Counter(
    "tenantry_upstream_errors_total", "Failures of engines.", ["pool", "endpoint", "kind"]
)
retries = Counter("tenantry_retries_total", "Requests that were sent to a further endpoint.", ())
breaker_state = Gauge(
    "tenantry_breaker_state",
    "0 closed, 1 half open, 2 open: whether an endpoint is left out.",
    ["pool", "endpoint"],
    multiprocess_mode="livemax",
)
cache_hits = Counter(
    "tenantry_cache_hits_total",
    "Answers that were given again without asking a model; the tier is memory or redis.",
    ["route", "tier"],
)
active_runs = Gauge("tenantry_active_runs", "Runs that go on now.", multiprocess_mode="livesum")
sockets = Gauge("tenantry_sockets", "Open sockets.", multiprocess_mode="livesum")
ledger_lag = Gauge(
    "tenantry_ledger_lag_seconds",
    "Age of the oldest usage event that is not in PostgreSQL yet.",
    multiprocess_mode="livemax",
)
unreadable_values = Counter(
    "tenantry_unreadable_values_total",
    "Values in Redis that were left out because they could not be read.",
    ["reader"],
)
ledger_pending = Gauge(
    "tenantry_ledger_pending_events",
    "Usage events that are not in PostgreSQL yet.",
    multiprocess_mode="livesum",
)
spool_events = Gauge(
    "tenantry_spool_events",
    "Usage events that are in a spool file because PostgreSQL was away.",
    multiprocess_mode="livesum",
)


holds = Gauge(
    "tenantry_holds",
    "Admitted requests whose usage is not settled everywhere yet.",
    multiprocess_mode="livesum",
)
frozen_loops = Counter(
    "tenantry_frozen_loops_total",
    "Event loops of gateway workers that stood still for 10 s. Each such worker was replaced.",
)

# Raised by Celery's processes through `kernel.storage.stored_counts`, which keeps their values in
# PostgreSQL; here they only have their names, and are in no registry.
ledger_drift = Counter(
    "tenantry_ledger_drift_total",
    "Sums that differed from the ledger when they were reconciled, and were repaired.",
    ["kind"],
    registry=None,
)
tenants_left = Counter(
    "tenantry_tenants_left_total",
    "Tenants that a timed job did not reach in its time; they are the first of the next time.",
    ["job"],
    registry=None,
)
tenants_failed = Counter(
    "tenantry_tenants_failed_total",
    "Tenants for which a timed job failed; the log says why.",
    ["job"],
    registry=None,
)


@cache
def series(metric: Metric, *labels: str) -> Metric:
    """`metric.labels(*labels)`, found again without its lock. Labels are bounded, so is this."""
    return metric.labels(*labels)
