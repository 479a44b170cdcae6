"""On both event loops: uvloop's transports are not asyncio's."""

from tests.inference.wire.conftest import pytest_asyncio_loop_factories

__all__ = ["pytest_asyncio_loop_factories"]
