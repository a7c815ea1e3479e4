"""What the exporter complains of is told without secrets, whoever writes them and how, and by whom a stop leaves behind."""

import logging
import socket

import pytest

from gateway.clock import SystemClock
from gateway.config import TracingSettings
from gateway.model import Rejected
from gateway.tracing.complaints import LOGGERS
from gateway.tracing.otlp import OtlpTracing
from tests.support.collector import collecting
from tests.support.waiting import eventually

SENSITIVE = "do-not-print-me"


@pytest.fixture(autouse=True)
def _put_back():
    """One that a stop leaves behind goes on until the process ends."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [list(logger.handlers) for logger in loggers]
    yield
    for logger, handlers in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, True


def tracing(endpoint, **headers):
    settings = TracingSettings(endpoint=endpoint, headers=headers)
    made = OtlpTracing(settings, destinations=[], version="test", clock=SystemClock())
    made.refused("producer", Rejected("malformed", "made-up"), None)
    return made


def told(caplog):
    return [(one.getMessage(), str(getattr(one, "fields", ""))) for one in caplog.records]


@pytest.mark.parametrize("key", [SENSITIVE, SENSITIVE.replace("d", "%64"), f"%22{SENSITIVE}"])
async def test_the_query_of_the_endpoint_is_not_told_however_the_exporter_writes_it(caplog, key):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        made = tracing(f"http://127.0.0.1:{nobody.getsockname()[1]}/v1/traces?key={key}")
        await made.close(grace_seconds=20)
    (event, said), *_ = told(caplog)
    assert event == "tracing.export_failed"
    assert "?[secret]" in said
    assert SENSITIVE not in str(told(caplog))


async def test_what_a_stop_leaves_behind_complains_as_before(caplog):
    with collecting() as collector:
        collector.status = 0  # it never answers
        made = tracing(f"{collector.endpoint}/v1/traces", authorization=SENSITIVE)
        await made.close(grace_seconds=0)
        eventually(lambda: collector.paths)
        logging.getLogger("urllib3").warning("with the header %s", SENSITIVE)
        assert told(caplog)[0][0] == "tracing.export_failed"
        assert SENSITIVE not in str(told(caplog))
