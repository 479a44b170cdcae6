"""The spool's files: what is written stays, what is torn is known, what is dead is inherited."""

import logging
import os

import pytest

from tenants.admission.usage.spool import SpoolUnwritable
from tenants.admission.usage.spool_file import SpoolFile, decode_line, encode_line
from tenants.admission.usage.spool_folder import REFUSED, FolderSpool
from tests.fixtures.limits.usage import charged, record

FACTS = {"decision": {"strategy": "a\nb"}, "agent": "hélper", "ttft_ms": 1.5}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
def spool(folder):
    made = FolderSpool(folder)
    yield made
    made.close()


def inherit(folder):
    """The spool of another worker that looks for files of the dead."""
    made = FolderSpool(folder)
    made.claim()
    return made


def replay(spool, most=1000):
    """The numbers of all requests that wait, which are then forgotten."""
    numbers = []
    while (batch := spool.oldest(most)) is not None:
        numbers += [each.request_id for each in batch.records]
        spool.forget(batch)
    return numbers


def ids(*numbers):
    return [f"req_{number}" for number in numbers]


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_line_is_a_record_and_back():
    written = charged(1, 8, -3, **FACTS)

    line = encode_line(written)

    assert line.count(b"\n") == 1
    assert decode_line(line.rstrip(b"\n")) == written


def test_what_was_written_is_replayed_in_its_order(spool):
    spool.write([record(1), record(2)])
    spool.write([record(3)])

    assert (spool.events, replay(spool)) == (3, ids(1, 2, 3))


def test_it_is_replayed_in_batches(spool):
    spool.write([record(number) for number in range(5)])

    first = spool.oldest(2)

    assert [each.request_id for each in first.records] == ids(0, 1)
    spool.forget(first)
    assert (spool.events, replay(spool, 2)) == (3, ids(2, 3, 4))


def test_until_it_is_forgotten_it_stays(spool):
    spool.write([record(1)])

    assert spool.oldest(10).records == spool.oldest(10).records


def test_a_file_goes_once_all_of_it_is_forgotten(spool, folder):
    spool.write([record(1)])
    assert len(files(folder)) == 1

    replay(spool)

    assert (files(folder), spool.events, spool.age()) == ([], 0, 0.0)


def test_what_comes_during_a_replay_is_kept(spool):
    spool.write([record(1)])
    batch = spool.oldest(10)
    spool.write([record(2)])

    spool.forget(batch)

    assert replay(spool) == ids(2)


def test_it_is_written_to_again_after_it_was_empty(spool):
    spool.write([record(1)])
    replay(spool)

    spool.write([record(2)])

    assert replay(spool) == ids(2)


def test_its_files_are_for_their_owner_only(spool, folder):
    spool.write([record(1)])

    assert folder.stat().st_mode & 0o77 == 0
    assert all(path.stat().st_mode & 0o77 == 0 for path in folder.iterdir())


def test_a_living_workers_file_is_its_own(spool, folder):
    spool.write([record(1)])

    assert inherit(folder).events == 0


def test_a_dead_workers_file_is_inherited_by_one(spool, folder):
    spool.write([record(1), record(2)])
    spool.close()

    heirs = [inherit(folder) for _ in range(3)]

    assert [heir.events for heir in heirs] == [2, 0, 0]
    assert replay(heirs[0]) == ids(1, 2)
    assert files(folder) == []


def test_the_oldest_file_comes_first(spool, folder):
    spool.write([record(1)])
    spool.close()
    heir = FolderSpool(folder)
    heir.write([record(2)])

    heir.claim()

    assert replay(heir) == ids(1, 2)


def test_claiming_twice_changes_nothing(spool, folder):
    spool.write([record(1)])
    spool.close()
    heir = inherit(folder)
    heir.claim()

    assert replay(heir) == ids(1)


def test_an_empty_file_of_the_dead_is_removed(folder):
    folder.mkdir()
    SpoolFile.create(folder).close()

    inherit(folder)

    assert files(folder) == []


def test_where_no_folder_is_nothing_is_claimed(folder):
    assert inherit(folder).oldest(10) is None


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_torn_last_line_was_never_acknowledged(spool, folder, cut, caplog):
    spool.write([record(1), record(2)])
    spool.close()
    (path,) = folder.iterdir()
    os.truncate(path, path.stat().st_size - cut)

    heir = inherit(folder)

    assert replay(heir) == ids(1)
    assert "incomplete last record ignored after a crash" in caplog.text
    assert files(folder) == []


BROKEN = {
    "a flipped bit": lambda line: line.replace(b"tiny", b"tinz"),
    "another checksum": lambda line: b"00000000" + line[8:],
    "zeros": lambda line: b"\x00" * (len(line) - 1) + b"\n",
    "text": lambda _: b"hello\n",
    "nothing": lambda _: b"\n",
    "a returned carriage": lambda line: line.replace(b"tiny", b"ti\ry"),
    "another shape": lambda _: encode_line({"version": 9}),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_corrupt_line_is_set_aside_and_blocks_nothing(spool, folder, case, caplog):
    spool.write([record(1), record(2), record(3)])
    spool.close()
    (path,) = folder.iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = BROKEN[case](lines[1])
    path.write_bytes(b"".join(lines))

    with caplog.at_level(logging.CRITICAL):
        assert replay(inherit(folder)) == ids(1, 3)

    assert files(folder) == [REFUSED]
    assert (folder / REFUSED).read_bytes() == lines[1]
    assert "corrupt record" in caplog.text


def test_a_corrupt_line_that_is_read_again_is_set_aside_once(spool, folder):
    spool.write([record(1)])
    spool.close()
    (path,) = folder.iterdir()
    path.write_bytes(b"hello\n" + path.read_bytes())
    heir = inherit(folder)

    heir.oldest(10)
    heir.oldest(10)

    assert (folder / REFUSED).read_bytes() == b"hello\n"


def test_a_file_that_somebody_cut_is_no_endless_loop(spool, folder):
    spool.write([record(1)])
    (path,) = folder.iterdir()
    os.truncate(path, 0)

    assert (replay(spool), files(folder)) == ([], [])


def test_a_record_longer_than_a_chunk_is_read(spool):
    spool.write([record(1), record(2, decision={"why": "x" * 3_000_000}), record(3)])

    assert replay(spool) == ids(1, 2, 3)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    spool = FolderSpool(tmp_path / "file" / "spool")

    for attempt in (spool.prepare, lambda: spool.write([record(1)])):
        with pytest.raises(SpoolUnwritable, match="is not writable"):
            attempt()

    assert spool.events == 0


def test_preparing_leaves_nothing_behind(spool, folder):
    spool.prepare()

    assert files(folder) == []


def test_a_refused_record_is_set_aside(spool, folder):
    spool.set_aside(record(1))

    assert decode_line((folder / REFUSED).read_bytes().rstrip(b"\n")) == record(1)
