"""The event loop's own reports."""

import asyncio
import gc
import logging
import socket

import pytest

from app.observability import loop_errors


@pytest.mark.parametrize(
    ("error", "reported"), [(socket.gaierror(-2, "Name or service not known"), False), (ValueError("lost"), True)]
)
async def test_a_forgotten_name_lookup_is_no_news_and_any_other_error_is(error, reported, caplog):
    """A failed lookup that nobody awaits any more is not reported; every other forgotten error is."""
    loop = asyncio.get_running_loop()
    loop_errors.install(loop)
    with caplog.at_level(logging.ERROR, logger="asyncio"):
        forgotten = loop.create_future()
        forgotten.set_exception(error)
        del forgotten
        gc.collect()
    assert ("never retrieved" in caplog.text) is reported
