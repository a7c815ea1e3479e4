"""A whole product for journeys: Convex, gateway and transcriber as processes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from stack.ports import ANY, choose
from stack.product import Job, Product
from stack.stack import Stack
from stack.workspace import Keys
from tests.support.waiting import eventually

DATA = Path(__file__).parents[1] / "data"
SAID = (
    "And so my fellow Americans, ask not what your country can do for you, "
    "ask what you can do for your country."
)
SAID_AT_LENGTH = " ".join(
    3
    * [
        SAID,
        "and mister john dashwood had then leisure to consider how much there might be prudently in his power to do for them",
        "he was not an ill disposed young man",
    ]
)
SERVICES = ("convex", "gateway", "transcriber")
# Not os.environ: a GROQ_API_KEY of whoever runs the tests must not be used.
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
FINAL = ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Journey:
    stack: Stack
    product: Product

    def end_in_convex(self, job_id: str) -> Job:
        """Wait until the job is over in the transcriber and Convex has its latest state, and return that."""
        eventually(lambda: self._caught_up(job_id), seconds=90)
        job = self.product.read_back(job_id)
        assert job is not None
        return job

    def reaches_convex(self, job_id: str, *, progress: int) -> None:
        """Wait until Convex shows at least that much of the job, which must not be over yet."""

        def shown() -> bool:
            job = self.product.in_convex(job_id)
            assert job is None or job["status"] not in FINAL, "it was over too soon: use a longer recording"
            return job is not None and job["status"] == "processing" and job["progress"] >= progress

        eventually(shown, seconds=60)

    def _caught_up(self, job_id: str) -> bool:
        try:
            job, shown = self.product.in_transcriber(job_id), self.product.in_convex(job_id)
        except httpx.TransportError:
            return False  # one of them is starting again
        return job["status"] in FINAL and shown is not None and shown["sequence"] == job["sequence"]


@contextmanager
def journey(directory: Path, *names: str, **environment: str) -> Iterator[Journey]:
    """Start the named services (default: all but the page) with their data in `directory`."""
    with (
        httpx.Client(trust_env=False, timeout=30) as client,
        Stack(
            data=directory,
            ports=choose(ANY),
            keys=Keys.made_up(),
            environment={**ENVIRONMENT, **environment},
        ) as stack,
    ):
        stack.start(*(names or SERVICES))
        urls = {"transcriber_url": stack["transcriber"].url, "convex_url": stack["convex"].url}
        yield Journey(stack=stack, product=Product(**urls, client=client))
