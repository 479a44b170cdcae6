"""Every reader of what lies in Redis gets garbage: it is left out, counted, and ends nobody."""

import msgspec
import pytest
import redis

from agents.events.stream import EntryUnreadable, read_entries
from agents.runtime.response_cache.cache import read_cached_response
from inference.fleet.worker_sync import WorkerReport, fresh_loads
from inference.monitoring.fleet_status import as_report, as_sample
from inference.monitoring.load_history import as_text, number_of
from kernel import metrics
from kernel.storage.json_cache import JsonSerializer
from kernel.storage.shared_values import MAX_MESSAGE_BYTES, MAX_VALUE_BYTES, read_json, read_message
from tenants.counters.commands import read_hold
from tenants.counters.state import live_scope, refusal
from tenants.limits.resets import as_count

GARBAGE = {
    "nothing": b"",
    "not UTF-8": b'{"endpoints": {"a": "\xff"}}',
    "bytes": b"\xff\xfe\x00\x80",
    "half": b'{"endpoints": {"a": {"in_flight": 1',
    "a number": b"7",
    "a text": b'"endpoints"',
    "a list": b'[{"endpoints": {}}]',
    "a list inside": b'{"endpoints": [], "e": [], "at": [], "choices": 3}',
    "a wrong number": b'{"endpoints": {"a": {"in_flight": "many"}}, "at": "now", "expires": []}',
    "too large a number": b'{"at": 1e999, "endpoints": {"a": {"in_flight": 1e999}}}',
    "too deep": b"[" * 200_000,
    "huge": b" " * (MAX_VALUE_BYTES + 1),
}
READERS = {
    "a worker's report, for workers": lambda data: read_json(data, WorkerReport, reader="test"),
    "a worker's report, for pages": as_report,
    "a kept answer": read_cached_response,
    "a hold": lambda data: read_hold("req_1", data),
    "a sample": lambda data: as_sample({b"at": data}),
    "an engine's load": lambda data: fresh_loads({b"a": data}, now=0.0).get("a"),
    "a refusal": lambda data: refusal(data, {b"reason": data}),
    "an older entry": lambda data: number_of(as_text({b"at": data}), "at"),
}
LEGIBLE = {
    ("a sample", "a number"),
    ("an older entry", "a number"),
    # What stands in fields that it does not know is skipped.
    ("an engine's load", "not UTF-8"),
}


@pytest.mark.parametrize("name", GARBAGE)
@pytest.mark.parametrize("reader", READERS)
def test_garbage_is_left_out(reader, name):
    found = READERS[reader](GARBAGE[name])
    assert (found is None) != ((reader, name) in LEGIBLE)


def test_what_another_version_wrote_does_not_hide_the_others():
    told = {b"good": b'{"at": 100, "waiting": 3}', b"\xff": b"{", b"bad": b"[]"}
    assert list(fresh_loads(told, now=101.0)) == ["good"]


def test_a_report_without_endpoints_is_another_versions():
    assert read_json(b'{"queues": {}}', WorkerReport, reader="test") is None
    report = b'{"endpoints": {"a": {"in_flight": 2, "ejected_until": null, "new": 1}}, "new": 2}'
    found = read_json(report, WorkerReport, reader="test")
    assert found is not None
    assert found.endpoints["a"]["in_flight"] == 2


@pytest.mark.parametrize(
    "data", [1, None, "text", b"x" * (MAX_MESSAGE_BYTES + 1), b"a\x00b", b"\xff"]
)
def test_a_message_is_a_short_text(data):
    assert read_message(data) is None


def test_what_is_left_out_is_counted():
    series = metrics.unreadable_values.labels("worker_report")
    before = series._value.get()
    as_report(b"{")
    assert series._value.get() == before + 1


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"\xff", b'{"a": 1}', b'{"type":"a"}\n{}'])
def test_a_log_with_an_entry_that_no_run_wrote_is_as_good_as_lost(data):
    entries = [(b"1-0", {b"e": b'{"type":"a","sequence_number":0}'}), (b"1-1", {b"e": data})]
    with pytest.raises(EntryUnreadable):
        read_entries(entries, first=0)
    with pytest.raises(redis.RedisError):
        read_entries([(b"1-0", {})], first=0)


def test_a_counter_that_is_no_number_is_left_out_of_a_page_and_grants_nothing():
    scope = live_scope("tenant", {b"c": b"3", b"tr": b"x", b"\xff": b"1", b"u:tokens:1-2": b"9"})
    assert (scope.running, scope.request_tat_us) == (3, None)
    with pytest.raises(redis.RedisError):
        as_count(b"many")


@pytest.mark.parametrize("data", [b"\x80\x04.", b"{", b"\xff", b"[" * 200_000])
def test_the_consoles_cache_reads_json_only(data):
    serializer = JsonSerializer()
    assert serializer.loads(data) is None
    assert serializer.loads(serializer.dumps({"a": [1, "b", None]})) == {"a": [1, "b", None]}
    assert msgspec.json.decode(serializer.dumps(7)) == 7
