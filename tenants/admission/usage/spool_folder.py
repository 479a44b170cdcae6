"""The spool in a folder that all workers of a machine share, including files of dead workers."""

import logging
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tenants.admission.usage.records import UsageRecord
from tenants.admission.usage.spool import SpooledBatch, SpoolUnwritable
from tenants.admission.usage.spool_file import (
    SUFFIX,
    CorruptLine,
    SpoolFile,
    decode_line,
    encode_line,
)

log = logging.getLogger(__name__)

REFUSED = "events.refused"
"""The file of records that cannot be replayed, for the operator."""


class FolderSpool:
    """A spool in a folder that all workers of a machine share. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._files: list[SpoolFile] = []
        self._own: SpoolFile | None = None
        self._logged: set[tuple[Path, int]] = set()

    @property
    def events(self) -> int:
        return sum(file.events for file in self._files)

    def age(self) -> float:
        created = [file.created_at for file in self._files]
        return max(0.0, time.time() - min(created)) if created else 0.0

    def prepare(self) -> None:
        """Create the folder and test that it is writable. Raises SpoolUnwritable."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = SpoolFile.create(self._folder)
            file.path.unlink()
            file.close()
        except OSError as error:
            raise self._unwritable(error) from error

    def write(self, records: Sequence[UsageRecord]) -> None:
        with self._lock:
            try:
                self._own_file().append(records)
            except OSError as error:
                self._leave_own_file()
                raise self._unwritable(error) from error

    def _own_file(self) -> SpoolFile:
        if self._own is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._own = SpoolFile.create(self._folder)
            self._files.append(self._own)
        return self._own

    def _leave_own_file(self) -> None:
        """Stop writing to the own file after a failed write. Its records are still replayed."""
        own, self._own = self._own, None
        if own is not None and not own.events:
            self._remove(own)

    def _unwritable(self, error: OSError) -> SpoolUnwritable:
        return SpoolUnwritable(f"{self._folder} is not writable ({error.strerror})")

    def set_aside(self, record: UsageRecord) -> None:
        with self._lock:
            self._set_aside(encode_line(record))

    def _set_aside(self, line: bytes) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (self._folder / REFUSED).open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            log.critical("spool: record not set aside (error=%s): %r", error, line)

    def claim(self) -> None:
        with self._lock:
            known = {file.path for file in self._files}
            for path in sorted(self._folder.glob(f"*{SUFFIX}")):
                if path not in known:
                    self._claim(path)

    def _claim(self, path: Path) -> None:
        try:
            file = SpoolFile.claim(path)
        except OSError as error:
            log.critical("spool: file unreadable (path=%s): %s", path, error)
            return
        if file is None:
            return
        if file.torn:
            log.warning("spool: incomplete last record ignored after a crash (path=%s)", path)
        log.info("spool: replaying (records=%d, path=%s)", file.events, path)
        self._files.append(file)
        self._files.sort(key=lambda each: each.created_at)
        if not file.events:
            self._remove(file)

    def oldest(self, max_records: int) -> SpooledBatch | None:
        with self._lock:
            if not self._files:
                return None
            file = self._files[0]
            try:
                lines = file.read(max_records)
            except OSError as error:
                log.critical("spool: file unreadable (path=%s): %s", file.path, error)
                self._drop(file)
                return None
            return self._batch(file, lines)

    def _batch(self, file: SpoolFile, lines: Sequence[bytes]) -> SpooledBatch:
        records = []
        position = file.offset
        for line in lines:
            try:
                records.append(decode_line(line.rstrip(b"\n")))
            except CorruptLine as error:
                self._refuse(file.path, position, line, error)
            position += len(line)
        # A file without lines was truncated by another program: skip to its end.
        end = position if lines else file.size
        return SpooledBatch(records=tuple(records), file=file, end=end, lines=len(lines))

    def _refuse(self, path: Path, position: int, line: bytes, error: CorruptLine) -> None:
        # The same lines may be read again during an outage; log them once.
        if (path, position) not in self._logged:
            self._logged.add((path, position))
            log.critical(
                "spool: corrupt record (path=%s, byte=%d, error=%s): %r",
                path,
                position,
                error,
                line,
            )
            self._set_aside(line)

    def forget(self, batch: SpooledBatch) -> None:
        with self._lock:
            file = batch.file
            file.offset = batch.end
            file.events -= batch.lines
            if file.offset >= file.size:
                self._remove(file)

    def _remove(self, file: SpoolFile) -> None:
        try:
            file.path.unlink(missing_ok=True)
        except OSError as error:
            # The file will be claimed and replayed again, which inserts no row twice.
            log.critical("spool: file not removed (path=%s): %s", file.path, error)
        self._drop(file)

    def _drop(self, file: SpoolFile) -> None:
        """Close a file and remove it from the list."""
        self._files.remove(file)
        if file is self._own:
            self._own = None
        file.close()

    def close(self) -> None:
        with self._lock:
            for file in self._files:
                file.close()
            self._files.clear()
            self._own = None
