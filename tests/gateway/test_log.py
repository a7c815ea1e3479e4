"""Log lines: one JSON object each for machines, words for a terminal, both on one line."""

import asyncio
import io
import json
import logging
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gateway.log import ALIKE_PER_SECOND, LOGGER, MAX_PENDING, Alike, emit, set_up, take_down

ROOT = Path(__file__).parents[2]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def restored_logging():
    root, level = logging.getLogger(), LOGGER.level
    handlers, root_level, uvicorn_level = root.handlers[:], root.level, logging.getLogger("uvicorn").level
    yield
    take_down()
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


class Counting(io.StringIO):
    """Remembers each write."""

    def __init__(self):
        super().__init__()
        self.writes = []

    def write(self, text):
        self.writes.append(text)
        return super().write(text)


def numbers(text):
    return [json.loads(line)["number"] for line in text.splitlines()]


async def test_the_lines_of_one_turn_of_the_loop_are_written_together_before_the_next():
    stream = Counting()
    set_up(level="info", stream=stream)
    for number in range(3):
        emit("thing.happened", number=number)
    assert stream.writes == []
    await asyncio.sleep(0)
    assert [numbers(text) for text in stream.writes] == [[0, 1, 2]]
    emit("thing.happened", number=3)
    await asyncio.sleep(0)
    assert numbers(stream.writes[1]) == [3]


async def test_lines_do_not_gather_without_end():
    stream = Counting()
    set_up(level="info", stream=stream)
    for number in range(MAX_PENDING):
        emit("thing.happened", number=number)
    assert numbers(stream.getvalue()) == list(range(MAX_PENDING))


async def test_a_line_of_another_thread_is_written_at_once_after_those_before_it():
    stream = Counting()
    set_up(level="info", stream=stream)
    emit("thing.happened", number=0)
    thread = threading.Thread(target=emit, args=("thing.happened",), kwargs={"number": 1})
    thread.start()
    thread.join()
    assert numbers(stream.getvalue()) == [0, 1]
    await asyncio.sleep(0)
    assert len(stream.writes) == 1


def test_lines_of_a_loop_that_ended_do_not_hold_back_those_of_the_next():
    stream = Counting()
    set_up(level="info", stream=stream)

    async def log(number):
        emit("thing.happened", number=number)
        if number:
            await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    task = loop.create_task(log(0))
    loop.stop()
    loop.run_forever()
    assert task.done()
    asyncio.run(log(1))
    loop.close()
    assert numbers(stream.getvalue()) == [0, 1]


async def test_a_line_of_another_thread_waits_for_those_that_are_being_made():
    class Slow:
        def __str__(self):
            thread.start()
            thread.join(0.3)
            return "slow"

    stream = Counting()
    set_up(level="info", stream=stream)
    thread = threading.Thread(target=emit, args=("thing.followed",))
    emit("thing.happened", value=Slow())
    await asyncio.sleep(0)
    await asyncio.to_thread(thread.join)
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == [
        "thing.happened",
        "thing.followed",
    ]


def test_a_value_that_logs_while_a_library_does_holds_up_neither():
    program = """
import asyncio, logging, threading
from gateway.log import emit, set_up

library = logging.getLogger("library")
thread = threading.Thread(target=library.warning, args=("of a thread",))

class Chatty:
    def __str__(self):
        thread.start()
        thread.join(0.3)
        library.warning("of a value")
        return "said"

async def main():
    set_up(level="info")
    emit("thing.happened", value=Chatty())
    await asyncio.sleep(0)

asyncio.run(main())
thread.join()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )
    said = sorted(json.loads(line)["event"] for line in done.stderr.splitlines())
    assert said == ["of a thread", "of a value", "thing.happened"]


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "raise ValueError('why')", "sys.exit('words')"])
@pytest.mark.parametrize(
    "run",
    [
        "asyncio.run(main())",
        "loop = asyncio.new_event_loop(); loop.create_task(main()); loop.stop(); loop.run_forever()",
    ],
)
def test_the_last_line_before_the_end_of_the_process_is_not_lost(end, run):
    program = f"""
import asyncio, sys
from gateway.log import emit, set_up

async def main():
    set_up(level="info")
    emit("thing.happened", number=1)
    {end}

{run}
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert sum('"event": "thing.happened"' in line for line in done.stderr.splitlines()) == 1


async def test_a_log_that_nobody_takes_stops_nothing():
    class Broken(io.StringIO):
        def write(self, _):
            raise BrokenPipeError

    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda *failure: failures.append(failure))
    set_up(level="info", stream=Broken())
    emit("thing.happened")
    await asyncio.sleep(0)
    emit("thing.happened")
    await asyncio.sleep(0)
    assert failures == []


def test_a_line_that_a_library_cannot_make_takes_no_other_along(capsys):
    def act():
        logging.getLogger("anything").warning("%d", "no number")
        emit("thing.happened")

    (line,) = logged(act).splitlines()
    assert json.loads(line)["event"] == "thing.happened"
    assert "no number" in capsys.readouterr().err


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_a_value_that_cannot_be_said_leaves_the_line_and_takes_no_other_along(stream):
    class Unsayable:
        def __str__(self):
            raise ValueError("not now")

    async def act():
        emit("thing.happened", value=Unsayable())
        emit("thing.followed")

    first, second = logged(lambda: asyncio.run(act()), stream=stream()).splitlines()
    assert "thing.happened" in first
    assert "ValueError" in first
    assert "thing.followed" in second


async def test_no_line_is_lost_where_threads_and_the_event_loop_log_at_once():
    stream = io.StringIO()
    set_up(level="info", stream=stream)

    def log(first):
        for number in range(first, first + 500):
            emit("thing.happened", number=number)

    threads = [threading.Thread(target=log, args=(500 * n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for number in range(1500, 2000):
        emit("thing.happened", number=number)
        if number % 7 == 0:
            await asyncio.sleep(0)
    for thread in threads:
        await asyncio.to_thread(thread.join)
    await asyncio.sleep(0)
    assert sorted(numbers(stream.getvalue())) == list(range(2000))


def refuse(lines, *alike):
    for one in alike:
        lines.emit("thing.refused", level=logging.WARNING, alike=one, reason=one)


def test_what_costs_is_made_of_the_lines_that_are_written_alone():
    made = []

    def more():
        made.append(1)
        return {"sender": "192.0.2.1"}

    def flood():
        lines = Alike(lambda: 100.0)
        for _ in range(ALIKE_PER_SECOND + 500):
            lines.emit("thing.refused", level=logging.WARNING, alike="a", more=more, reason="a")

    said = [json.loads(line) for line in logged(flood).splitlines()]
    assert [(one["reason"], one["sender"]) for one in said] == [("a", "192.0.2.1")] * ALIKE_PER_SECOND
    assert len(made) == ALIKE_PER_SECOND


def test_of_like_lines_a_few_a_second_are_written_and_the_next_one_says_how_many_were_not():
    now = 100.0

    def flood():
        nonlocal now
        lines = Alike(lambda: now)
        refuse(lines, *["a"] * (ALIKE_PER_SECOND + 500), "b")
        now = 101.0
        refuse(lines, "a", "a", "b")

    said = [json.loads(line) for line in logged(flood).splitlines()]
    assert [one["reason"] for one in said] == ["a"] * ALIKE_PER_SECOND + ["b", "a", "a", "b"]
    assert [one.get("suppressed") for one in said] == [None] * (ALIKE_PER_SECOND + 1) + [500, None, None]
