"""Log lines: one JSON object each for machines, words for a terminal, both on one line."""

import io
import json
import logging
import re

import pytest

from gateway.log import LOGGER, emit, set_up


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def restored_logging():
    root, level = logging.getLogger(), LOGGER.level
    handlers, root_level, uvicorn_level = root.handlers[:], root.level, logging.getLogger("uvicorn").level
    yield
    root.handlers[:] = handlers
    root.setLevel(root_level)
    LOGGER.setLevel(level)
    logging.getLogger("uvicorn").setLevel(uvicorn_level)


def logged(act, *, level="info", stream=None):
    stream = stream or io.StringIO()
    set_up(level=level, stream=stream)
    act()
    return stream.getvalue()


def test_a_line_is_a_json_object_with_time_level_event_and_fields():
    (line,) = logged(lambda: emit("webhook.accepted", source="a", bytes=3)).splitlines()
    content = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", content.pop("time"))
    assert content == {"level": "info", "event": "webhook.accepted", "source": "a", "bytes": 3}


@pytest.mark.parametrize("value", ["a\nb", '"', "\x1b[2J", "\ud800", "é\u2028", b"\xff", object()])
def test_no_value_breaks_the_line_or_the_json(value):
    (line,) = logged(lambda: emit("thing.happened", value=value)).split("\n")[:-1]
    assert json.loads(line)["event"] == "thing.happened"
    assert line.isascii()


@pytest.mark.parametrize("value", ["a\nb", "\x1b[2J", "\r", "\x9b1m", "\u2028"])
def test_on_a_terminal_no_value_breaks_the_line_or_drives_the_terminal(value):
    text = logged(lambda: emit("thing.happened", value=value, other=None), stream=Terminal())
    assert text.endswith("\n")
    assert text[:-1].isprintable()
    assert "thing.happened  value=" in text
    assert "other" not in text


def test_a_person_reads_words_and_the_level_where_it_matters():
    def act():
        emit("thing.happened", name="Zoë", number=3)
        emit("thing.failed", level=logging.ERROR)

    first, second = logged(act, stream=Terminal()).splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d thing.happened  name=Zoë  number=3", first)
    assert re.fullmatch(r"\d\d:\d\d:\d\d ERROR thing.failed", second)


@pytest.mark.parametrize(("level", "number"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_what_is_below_the_level_is_not_logged(level, number):
    def act():
        for each in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            emit("thing.happened", level=each)

    assert len(logged(act, level=level).splitlines()) == number


def test_libraries_log_in_the_same_form_and_never_their_debugging():
    def act():
        logging.getLogger("httpcore").debug("a request with its headers")
        logging.getLogger("anything").warning("careful %s", "there")

    (line,) = logged(act, level="debug").splitlines()
    assert json.loads(line)["event"] == "careful there"


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_an_exception_is_logged_with_its_traceback(stream):
    def act():
        try:
            raise ValueError("why")  # noqa: TRY301 - it has to be raised to be logged
        except ValueError:
            logging.getLogger("anything").exception("it failed")

    text = logged(act, stream=stream())
    assert "it failed" in text
    assert "ValueError: why" in text
