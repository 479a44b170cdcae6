"""The metrics for Prometheus (operations.md, "Metrics of the gateway").

Label values come from the registry (names of routes, pools and endpoints, doors, statuses) and
never from a request: a client must not be able to create series.
"""

from functools import cache
from typing import TypeVar

from prometheus_client import Counter, Gauge, Histogram

Metric = TypeVar("Metric", Counter, Gauge, Histogram)

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
OVERHEAD_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)
PER_TOKEN_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)

OTHER = "other"
"""The label of routes and pools that are not in the registry."""

requests = Counter(
    "tenantry_requests_total", "Requests with a response.", ["door", "route", "status"]
)
request_duration = Histogram(
    "tenantry_request_duration_seconds",
    "Time from the first byte of the request to the last one of the response.",
    ["door"],
    buckets=SECONDS,
)
time_to_first_token = Histogram(
    "tenantry_time_to_first_token_seconds",
    "Time to first token of streams.",
    ["route"],
    buckets=SECONDS,
)
time_per_output_token = Histogram(
    "tenantry_time_per_output_token_seconds",
    "Time after the first token, divided by the tokens after the first.",
    ["route"],
    buckets=PER_TOKEN_SECONDS,
)
gateway_overhead = Histogram(
    "tenantry_gateway_overhead_seconds",
    "Time of a request in which it did not wait for a pool, an engine or a run.",
    ["door"],
    buckets=OVERHEAD_SECONDS,
)
tokens = Counter("tenantry_tokens_total", "Metered tokens.", ["route", "kind"])
in_flight = Gauge(
    "tenantry_in_flight",
    "Requests in progress at an endpoint.",
    ["pool", "endpoint"],
    multiprocess_mode="livesum",
)
queue_depth = Gauge(
    "tenantry_queue_depth",
    "Requests queued for a pool.",
    ["pool"],
    multiprocess_mode="livesum",
)
queue_wait = Histogram(
    "tenantry_queue_wait_seconds",
    "Time in the queue of a pool, also of requests that left it without a slot.",
    ["pool"],
    buckets=SECONDS,
)
refusals = Counter(
    "tenantry_refusals_total",
    "Requests refused before they reached an engine.",
    ["reason", "scope_kind"],
)
upstream_requests = Counter(
    "tenantry_upstream_requests_total",
    "Requests to engines, retries and hedges among them.",
    ["pool", "endpoint"],
)
upstream_errors = Counter(
    "tenantry_upstream_errors_total", "Failures of engines.", ["pool", "endpoint", "kind"]
)
retries = Counter("tenantry_retries_total", "Requests that were sent to another endpoint.", ())
breaker_state = Gauge(
    "tenantry_breaker_state",
    "State of an endpoint's circuit breaker: 0 closed, 1 half open, 2 open.",
    ["pool", "endpoint"],
    multiprocess_mode="livemax",
)
cache_hits = Counter(
    "tenantry_cache_hits_total",
    "Responses from the response cache; the tier is memory or redis.",
    ["route", "tier"],
)
tasks = Counter("tenantry_tasks_total", "Tasks that clients submitted.", ["outcome"])
messages = Counter(
    "tenantry_messages_total", "Messages that clients and agents sent to agents.", ["outcome"]
)
active_runs = Gauge("tenantry_active_runs", "Runs in progress.", multiprocess_mode="livesum")
sockets = Gauge("tenantry_sockets", "Open sockets.", multiprocess_mode="livesum")
ledger_lag = Gauge(
    "tenantry_ledger_lag_seconds",
    "Age of the oldest usage event that is not in PostgreSQL yet.",
    multiprocess_mode="livemax",
)
unreadable_values = Counter(
    "tenantry_unreadable_values_total",
    "Values in Redis that were ignored because they are unreadable.",
    ["reader"],
)
ledger_pending = Gauge(
    "tenantry_ledger_pending_events",
    "Usage events that are not in PostgreSQL yet.",
    multiprocess_mode="livesum",
)
spool_events = Gauge(
    "tenantry_spool_events",
    "Usage events in the spool, because PostgreSQL was unavailable.",
    multiprocess_mode="livesum",
)


holds = Gauge(
    "tenantry_holds",
    "Admitted requests whose usage is not settled everywhere yet.",
    multiprocess_mode="livesum",
)
frozen_loops = Counter(
    "tenantry_frozen_loops_total",
    "Event loops of gateway workers that were blocked for 10 s. Each such worker was replaced.",
)

# Incremented by Celery's processes through `kernel.storage.stored_counts`, which stores the values
# in PostgreSQL. These objects only define names, and are in no registry.
ledger_drift = Counter(
    "tenantry_ledger_drift_total",
    "Sums that differed from the ledger when they were reconciled, and were repaired.",
    ["kind"],
    registry=None,
)
tenants_left = Counter(
    "tenantry_tenants_left_total",
    "Tenants that a periodic task did not reach in time; the next one starts with them.",
    ["job"],
    registry=None,
)
tenants_failed = Counter(
    "tenantry_tenants_failed_total",
    "Tenants for which a periodic task failed; the log has the reason.",
    ["job"],
    registry=None,
)


@cache
def series(metric: Metric, *labels: str) -> Metric:
    """Return `metric.labels(*labels)`, cached without a lock. The labels are bounded."""
    return metric.labels(*labels)
