"""One file of the spool: a line for each usage record, with a checksum at its start.

A file belongs to the process that holds its lock. The kernel releases the lock of a dead process.
"""

import fcntl
import os
import secrets
import time
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

from tenants.admission.usage.records import UsageRecord

SUFFIX = ".spool"
CHUNK_BYTES = 1 << 20

decode_record = msgspec.json.Decoder(UsageRecord).decode


class CorruptLine(ValueError):
    """A line is damaged or has an unknown format."""


def encode_line(record: UsageRecord) -> bytes:
    body = msgspec.json.encode(record)
    return b"%08x %b\n" % (zlib.crc32(body), body)


def decode_line(line: bytes) -> UsageRecord:
    """Decode a line without its newline. Raises CorruptLine."""
    checksum, _, body = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(body):
        raise CorruptLine("the checksum is wrong")
    try:
        return decode_record(body)
    except msgspec.DecodeError as error:
        raise CorruptLine(str(error)) from error


class SpoolFile:
    """An open and locked spool file. Not thread-safe. Methods raise OSError."""

    def __init__(self, path: Path, descriptor: int, *, size: int, events: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self.size = size
        """Length of the synced lines in bytes."""
        self.events = events
        self.created_at = created_at(path)
        """Seconds since 1970."""
        self.offset = 0
        """Length of the lines that are in the ledger, in bytes."""

    @classmethod
    def create(cls, folder: Path) -> Self:
        """Create and lock an empty file."""
        name = f"{time.time_ns()}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        # Lock the file before it gets the suffix by which other workers find files to claim.
        unnamed = folder / f"{name}.new"
        descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unnamed.rename(folder / name)
            sync_folder(folder)
        except OSError:
            os.close(descriptor)
            unnamed.unlink(missing_ok=True)
            raise
        return cls(folder / name, descriptor, size=0, events=0)

    @classmethod
    def claim(cls, path: Path) -> Self | None:
        """Open and lock a file of a dead process; None if another process has it."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The previous owner may have removed the file in the meantime.
            if os.fstat(descriptor).st_nlink:
                size, events = measure(descriptor)
                return cls(path, descriptor, size=size, events=events)
        except BlockingIOError:
            pass
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    @property
    def torn(self) -> int:
        """Bytes after the last complete line, of a record that a crash interrupted."""
        return os.fstat(self._descriptor).st_size - self.size

    def append(self, records: Iterable[UsageRecord]) -> None:
        """Write and sync all records, or none if OSError is raised."""
        lines = [encode_line(record) for record in records]
        data = b"".join(lines)
        try:
            write_whole(self._descriptor, data)
            os.fsync(self._descriptor)
        except OSError:
            # If this fails too, an incomplete line stays, and the caller uses another file.
            with suppress(OSError):
                os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(data)
        self.events += len(lines)

    def read(self, max_lines: int) -> list[bytes]:
        """Return up to `max_lines` lines after `offset`, with their newlines."""
        length = CHUNK_BYTES
        while True:
            length = min(length, self.size - self.offset)
            chunk = os.pread(self._descriptor, length, self.offset)
            whole = chunk[: chunk.rfind(b"\n") + 1]
            if whole or len(chunk) < length or length == self.size - self.offset:
                return [line + b"\n" for line in whole.split(b"\n")[:-1][:max_lines]]
            length *= 2

    def close(self) -> None:
        """Release the lock, so that another process may claim the file."""
        os.close(self._descriptor)


def created_at(path: Path) -> float:
    stamp = path.name.split("-")[0]
    return int(stamp) / 1e9 if stamp.isdigit() else path.stat().st_mtime


def measure(descriptor: int) -> tuple[int, int]:
    """Return the length of all complete lines in bytes, and their number."""
    size = events = position = 0
    while chunk := os.pread(descriptor, CHUNK_BYTES, position):
        events += chunk.count(b"\n")
        if (end := chunk.rfind(b"\n") + 1) > 0:
            size = position + end
        position += len(chunk)
    return size, events


def write_whole(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_folder(folder: Path) -> None:
    """Sync a folder, because a power failure may lose the names of synced files."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
