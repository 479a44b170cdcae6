"""A disk without room: nothing torn stays, nothing acknowledged is lost, and it recovers."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, resource, sys
from pathlib import Path
from tenants.admission.usage.spool import SpoolUnwritable
from tenants.admission.usage.spool_folder import FolderSpool
from tests.fixtures.limits.usage import record

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

spool = FolderSpool(Path(sys.argv[1]))
limit(20_000)
kept, refused = [], []
for number in range(60):
    if number == 50:
        limit(resource.RLIM_INFINITY)
    batch = [record(number * 10 + each) for each in range(10)]
    try:
        # From 25 on, no file may have a single byte: a full disk.
        if number == 25:
            limit(0)
        spool.write(batch)
        kept.extend(each.request_id for each in batch)
    except SpoolUnwritable:
        refused.append(number)
replayed = []
while (found := spool.oldest(7)) is not None:
    replayed.extend(each.request_id for each in found.records)
    spool.forget(found)
left = [path.name for path in Path(sys.argv[1]).iterdir()]
print(json.dumps({"kept": kept, "refused": refused, "replayed": replayed, "left": left}))
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    environment = {**os.environ, "PYTHONPATH": ".:platform"}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path_factory.mktemp("disk") / "spool")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_what_was_acknowledged_is_replayed_once_and_in_order(outcome):
    assert outcome["replayed"] == outcome["kept"]


def test_while_nothing_can_be_written_it_says_so(outcome):
    assert set(range(25, 50)) <= set(outcome["refused"])


def test_a_file_that_is_too_large_is_followed_by_another(outcome):
    assert len(outcome["kept"]) > 200


def test_once_there_is_room_it_goes_on(outcome):
    assert not set(range(50, 60)) & set(outcome["refused"])


def test_failed_attempts_leave_no_files(outcome):
    assert outcome["left"] == []
