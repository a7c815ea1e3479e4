"""Reads what strace saw of the gateway: whether an answer left before its event was on the disk."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

STRACE = (
    "strace",
    "--daemonize",  # the gateway is the process that was started, and gets its signals
    "--follow-forks",
    "--decode-fds=path,socket",
    "--string-limit=100000",
    "--trace=fdatasync,fsync,write,writev,sendto,sendmsg,pwrite64",
)
LINE = re.compile(r"(?P<thread>\d+) +(?P<rest>.*)")
RESUMED = re.compile(r"<\.\.\. (?P<name>\w+) resumed>")
EVENT = re.compile(r"evt_[0-9a-f]{32}")
SENT = re.compile(r"(?:write|writev|sendto|sendmsg)\((?P<socket>\d+<TCP[^>]*->[^>]*>)")
HEAD = "HTTP/1.1 200 "
BODY = re.compile(r'\\"event_id\\":\\"(?P<event_id>evt_[0-9a-f]{32})\\"')


@dataclass(slots=True)
class Call:
    """One system call; `begun` and `ended` are numbers of lines, which are in the order of time."""

    thread: str
    text: str
    begun: int
    ended: int

    @property
    def is_log_write(self) -> bool:
        return self.text.startswith("pwrite64(") and "-wal>" in self.text.partition(",")[0]

    @property
    def is_log_sync(self) -> bool:
        return self.text.startswith(("fdatasync(", "fsync(")) and "-wal>" in self.text


def calls(lines: Sequence[str]) -> Iterator[Call]:
    """In the order of their beginnings. A call that other threads interrupted has two lines."""
    unfinished: dict[str, Call] = {}
    found = []
    for number, line in enumerate(lines):
        match = LINE.match(line)
        if match is None:
            continue
        thread, rest = match["thread"], match["rest"]
        if RESUMED.match(rest):
            unfinished.pop(thread).ended = number
            continue
        call = Call(thread, rest, begun=number, ended=number)
        found.append(call)
        if "<unfinished ...>" in rest:
            call.ended = len(lines)
            unfinished[thread] = call
    return iter(found)


def is_over(path: Path) -> bool:
    """Whether the traced process has ended, and everything it did is in the file."""
    return path.read_text("utf-8", errors="replace").rstrip().endswith("+++ exited with 0 +++")


@dataclass(frozen=True, slots=True)
class Judgement:
    answered: set[str]
    """Events that were answered 200."""
    too_early: set[str]
    """Of these, those whose answer left before the log that holds them was synced."""


def judge(path: Path) -> Judgement:
    """Of a file that `STRACE` wrote."""
    traced = list(calls(path.read_text("utf-8", errors="replace").splitlines()))
    safe_from = _synced(traced)
    answers = list(_answers(traced))
    return Judgement(
        answered={event_id for event_id, _ in answers},
        too_early={
            event_id
            for event_id, begun in answers
            if event_id not in safe_from or safe_from[event_id] > begun
        },
    )


def _synced(traced: Sequence[Call]) -> dict[str, int]:
    """Event → when the first sync after the first page of the log that names it was over."""
    syncs = [call for call in traced if call.is_log_sync]
    found: dict[str, int] = {}
    for call in traced:
        if call.is_log_write and (events := set(EVENT.findall(call.text)) - found.keys()):
            synced = next((one.ended for one in syncs if one.begun > call.ended), None)
            if synced is not None:
                found.update(dict.fromkeys(events, synced))
    return found


def _answers(traced: Sequence[Call]) -> Iterator[tuple[str, int]]:
    """(event, when the answer that names it began to leave). Its head may have left before its body."""
    heads: dict[str, int] = {}
    for call in traced:
        if sent := SENT.match(call.text):
            if HEAD in call.text:
                heads[sent["socket"]] = call.begun
            if body := BODY.search(call.text):
                yield body["event_id"], heads[sent["socket"]]
