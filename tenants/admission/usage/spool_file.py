"""One file of the spool: usage records, a line each, with a checksum in front.

A file belongs to the process that holds its lock; the lock of a process that died is free.
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
    """A line that is not what was written, or that nobody understands any more."""


def encode_line(record: UsageRecord) -> bytes:
    body = msgspec.json.encode(record)
    return b"%08x %b\n" % (zlib.crc32(body), body)


def decode_line(line: bytes) -> UsageRecord:
    """The record in a line without its end. Raises CorruptLine."""
    checksum, _, body = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(body):
        raise CorruptLine("the checksum is wrong")
    try:
        return decode_record(body)
    except msgspec.DecodeError as error:
        raise CorruptLine(str(error)) from error


class SpoolFile:
    """An open and locked file. Not for two threads at once. Methods raise OSError."""

    def __init__(self, path: Path, descriptor: int, *, size: int, events: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self.size = size
        """Bytes that are safe on the disk; they end with a whole line."""
        self.events = events
        self.begun = began_at(path)
        """Seconds since 1970."""
        self.offset = 0
        """Up to here all is in the ledger."""

    @classmethod
    def create(cls, folder: Path) -> Self:
        """A new, empty file of this process."""
        name = f"{time.time_ns()}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        # Locked before it has the name under which others look for files to claim.
        unseen = folder / f"{name}.new"
        descriptor = os.open(unseen, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unseen.rename(folder / name)
            sync_folder(folder)
        except OSError:
            os.close(descriptor)
            unseen.unlink(missing_ok=True)
            raise
        return cls(folder / name, descriptor, size=0, events=0)

    @classmethod
    def claim(cls, path: Path) -> Self | None:
        """A file that nobody holds any more; None if somebody does."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it may have finished and removed it in between.
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
        """Bytes after the last whole line: a record that was being written at a crash."""
        return os.fstat(self._descriptor).st_size - self.size

    def append(self, records: Iterable[UsageRecord]) -> None:
        """Write records so that they survive a power cut. All of them or, with OSError, none."""
        lines = [encode_line(record) for record in records]
        data = b"".join(lines)
        try:
            write_whole(self._descriptor, data)
            os.fsync(self._descriptor)
        except OSError:
            # If even this fails, the line is torn, and the caller goes on with another file.
            with suppress(OSError):
                os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(data)
        self.events += len(lines)

    def read(self, most: int) -> list[bytes]:
        """At most so many lines from `offset` on, each with its end."""
        length = CHUNK_BYTES
        while True:
            length = min(length, self.size - self.offset)
            chunk = os.pread(self._descriptor, length, self.offset)
            whole = chunk[: chunk.rfind(b"\n") + 1]
            if whole or len(chunk) < length or length == self.size - self.offset:
                return [line + b"\n" for line in whole.split(b"\n")[:-1][:most]]
            length *= 2

    def close(self) -> None:
        """Let go of the lock; another process may claim it now."""
        os.close(self._descriptor)


def began_at(path: Path) -> float:
    stamp = path.name.split("-")[0]
    return int(stamp) / 1e9 if stamp.isdigit() else path.stat().st_mtime


def measure(descriptor: int) -> tuple[int, int]:
    """The length up to the end of the last whole line, and the number of lines."""
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
    """Without this a power cut may forget the name of a file that was written."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
