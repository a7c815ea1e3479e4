"""Event loops: a module's EVENT_LOOPS names those that each of its tests is run on; without it asyncio's own."""

import asyncio

ASYNCIO = {"asyncio": asyncio.new_event_loop}


def pytest_asyncio_loop_factories(config, item):  # noqa: ARG001 - the hook's parameters
    return getattr(item.module, "EVENT_LOOPS", ASYNCIO)
