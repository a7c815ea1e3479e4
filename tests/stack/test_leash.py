"""What is left when the parent is gone."""

import os
import signal
import subprocess
import sys
import uuid

import pytest

from tests.support.processes import marked
from tests.support.waiting import eventually

# A parent on whose leash a shell runs, which has started a process of its own.
PARENT = """
import subprocess, sys, time
from stack.leash import Leash
leash = Leash()
child = subprocess.Popen(["sh", "-c", "sleep 600 & wait"], process_group=0)
leash.hold(child.pid)
print("held", flush=True)
sys.stdin.read()
child.terminate()
child.wait()
leash.release(child.pid)
leash.close()
"""


@pytest.fixture
def mark() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def parent(mark):
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        env={**os.environ, "MARK": mark},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"held\n"
        eventually(lambda: any("sleep" in command for command in marked(mark).values()))
        yield process


def test_a_killed_parent_leaves_no_descendant(parent, mark):
    parent.send_signal(signal.SIGKILL)
    eventually(lambda: not marked(mark), seconds=5)


def test_a_group_that_was_released_lives_on(parent, mark):
    parent.stdin.close()
    assert parent.wait(10) == 0
    left = marked(mark)
    assert list(left.values()) == ["sleep 600"]
    os.kill(*left, signal.SIGKILL)
