"""`stack demo`: one recording through the whole product, step by step, without a browser."""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from stack import ports
from stack.product import Job, Product
from stack.signals import StopRequest, stop_request
from stack.stack import POLL_SECONDS, Stack
from stack.workspace import Keys

CONVEX_SECONDS = 30.0

Say = Callable[[str], None]


class DemoError(Exception):
    """The demo did not end in a text; the message says why and what to do."""


class InterruptedDemoError(DemoError):
    """A person ended it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """Follows one recording through a running stack. `deadline` of the transcription is on the monotonic clock."""

    stack: Stack
    product: Product
    stop: StopRequest
    deadline: float
    say: Say

    def transcribe(self, audio: Path) -> Job:
        """Return the job as Convex has it once it is completed. Raises DemoError on any other end."""
        job = self.product.post(audio)
        self.say(f"{job['status']:<11}job {job['jobId']}, {audio.name}, {audio.stat().st_size / 1000:.0f} kB")
        job = self._follow(job)
        readable_ms = self._wait_for_convex(job)
        latency_ms = readable_ms - job["timestamps"]["completedAt"]
        self.say(f"readable in Convex, {latency_ms} ms after it was completed in the transcriber")
        text = self.product.read_back(job["jobId"])
        if text is None:
            raise DemoError("Convex showed the job and then lost it.")
        return text

    def _follow(self, job: Job) -> Job:
        """Say each step of the job in the transcriber until it is completed there, and return it."""
        said = _step(job)
        while job["status"] in ("queued", "processing"):
            self._check(self.deadline, f"The job was still {said}")
            time.sleep(POLL_SECONDS)
            job = self.product.in_transcriber(job["jobId"])
            if _step(job) != said:
                said = _step(job)
                self.say(said)
        if job["status"] != "completed":
            error = job["error"] or {"message": "somebody asked for that", "code": job["status"]}
            raise DemoError(f"The job ended as {job['status']}: {error['message']} ({error['code']})")
        return job

    def _wait_for_convex(self, completed: Job) -> int:
        """Return the Unix time in ms at which Convex first answered with the job as it was completed."""
        deadline = time.monotonic() + CONVEX_SECONDS
        while True:
            job = self.product.in_convex(completed["jobId"])
            now_ms = time.time_ns() // 1_000_000
            if job is not None and job["sequence"] == completed["sequence"]:
                return now_ms
            self._check(deadline, "The job was completed but not in Convex")
            time.sleep(POLL_SECONDS)

    def _check(self, deadline: float, late: str) -> None:
        _go_on(self.stop)
        self.stack.check()
        if time.monotonic() > deadline:
            logs = "\n".join(self.stack[name].tail() for name in ("transcriber", "gateway"))
            raise DemoError(f"{late} when its time was over.\n{logs}")


def demo(audio: Path, *, timeout_seconds: float, environment: Mapping[str, str]) -> int:
    """Transcribe `audio` on a stack of its own in a temporary directory, print the text, and return 0.

    Raises DemoError or ProductError if there is no text, ServiceFailedError if a service ends by itself.
    """
    if not audio.is_file():
        raise DemoError(f"{audio} is {'a directory' if audio.is_dir() else 'not there'}: give an audio file.")
    say = _Clock()
    with (
        tempfile.TemporaryDirectory(prefix="stack-demo-") as folder,
        stop_request() as stop,
        httpx.Client(trust_env=False, timeout=30) as client,
        _stack(Path(folder), environment) as stack,
    ):
        say("starting Convex, gateway and transcriber")
        stack.start("convex", "gateway", "transcriber", give_up=stop)
        _go_on(stop)
        say("ready")
        urls = {"transcriber_url": stack["transcriber"].url, "convex_url": stack["convex"].url}
        product, deadline = Product(**urls, client=client), time.monotonic() + timeout_seconds
        job = Demo(stack=stack, product=product, stop=stop, deadline=deadline, say=say).transcribe(audio)
        text = job["result"]["text"].strip()
        say(f"read back from Convex: {len(text.split())} words\n")
        print(text, flush=True)
    return 0


class _Clock:
    """Prints what happened with the seconds since the start before it."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"{time.monotonic() - self._started:7.2f} s  {text}", flush=True)


def _stack(directory: Path, environment: Mapping[str, str]) -> Stack:
    return Stack(
        data=directory,
        ports=ports.choose(ports.ANY),
        keys=Keys.made_up(),
        environment=environment,
    )


def _go_on(stop: StopRequest) -> None:
    if stop():
        raise InterruptedDemoError("Stopped.")


def _step(job: Job) -> str:
    if job["status"] == "processing":
        return f"processing {job['progress']} %"
    return "completed in the transcriber" if job["status"] == "completed" else str(job["status"])
