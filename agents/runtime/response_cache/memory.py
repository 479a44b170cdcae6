"""Cached responses in a worker's memory: by tenant, limited in bytes, least recently used first."""

from collections import OrderedDict

MAX_BYTES = 32 * 1024 * 1024
ENTRY_OVERHEAD_BYTES = 400
"""The memory that Python needs for an entry besides its value."""


class MemoryCache:
    """A least-recently-used cache, limited in bytes."""

    def __init__(self, *, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._values: OrderedDict[tuple[int, str], bytes] = OrderedDict()
        self.size = 0

    def read(self, tenant_id: int, digest: str) -> bytes | None:
        value = self._values.get((tenant_id, digest))
        if value is not None:
            self._values.move_to_end((tenant_id, digest))
        return value

    def write(self, tenant_id: int, digest: str, value: bytes) -> None:
        self._drop((tenant_id, digest))
        self._values[tenant_id, digest] = value
        self.size += len(value) + ENTRY_OVERHEAD_BYTES
        while self.size > self._max_bytes:
            self._drop(next(iter(self._values)))

    def forget(self, tenant_id: int) -> None:
        for key in [key for key in self._values if key[0] == tenant_id]:
            self._drop(key)

    def _drop(self, key: tuple[int, str]) -> None:
        value = self._values.pop(key, None)
        if value is not None:
            self.size -= len(value) + ENTRY_OVERHEAD_BYTES
