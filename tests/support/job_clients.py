"""Clients of the transcriber that do whatever clients do, through its crashes, and note what they are told."""

import itertools
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx

from tests.support.job_reconcile import OVER, Promises
from tests.support.speech import samples, wav

SHORT = wav(samples("jfk.wav")[: 2 * 16_000])
LONG = wav(samples("jfk.wav"))
"""One second of it, and all eleven."""
LONGEST_REQUEST_SECONDS = 60.0


class Client:
    """Submits, asks, cancels, tries again and deletes at random, and notes what it is told."""

    def __init__(
        self, url: str, *, name: str, chance: random.Random, promises: Promises, audio_url: str
    ) -> None:
        self._http = httpx.Client(base_url=url, timeout=10)
        self._name = name
        self._chance = chance
        self._promises = promises
        self._audio_url = audio_url
        self._numbers = itertools.count()
        self._known: list[str] = []
        self._seen: dict[str, int] = {}
        self.unanswered = 0

    def run(self, goes_on: threading.Event) -> None:
        """Until it is cleared; each request is finished."""
        while goes_on.is_set():
            roll = self._chance.random()
            if not self._known or roll < 0.35:
                self._submit()
            elif roll < 0.75:
                self._get(self._chance.choice(self._known[-20:]))
            elif roll < 0.85:
                self._cancel(self._chance.choice(self._known[-8:]))
            elif roll < 0.93:
                self._ask("POST", f"/v1/jobs/{self._chance.choice(self._known)}/retry")
            else:
                self._delete(self._chance.choice(self._known))
            time.sleep(self._chance.uniform(0, 0.1))
        self._http.close()

    def _submit(self) -> None:
        """Again until there is an answer, and now and then once more: it is the same job each time."""
        identity = f"a-job-of-the-storm-{self._name}-{next(self._numbers):06}"
        form = {"job_id": (None, identity), "user_id": (None, self._name)}
        form |= self._chance.choice(({"file": SHORT}, {"file": LONG}, {"audio_url": (None, self._audio_url)}))
        for _ in range(self._chance.choice((1, 1, 1, 2))):
            while (answer := self._ask("POST", "/v1/jobs", files=form)) is None:
                time.sleep(0.05)
            if answer.status_code != 202:
                self._promises.untrue.append(f"{identity} was refused: {answer.text}")
                return
            self._note(identity, answer)
            created_at = answer.json()["timestamps"]["createdAt"]
            if self._promises.accepted.setdefault(identity, created_at) != created_at:
                self._promises.untrue.append(f"{identity} was accepted as two jobs")
        self._known.append(identity)

    def _get(self, identity: str) -> None:
        if answer := self._ask("GET", f"/v1/jobs/{identity}"):
            self._note(identity, answer)

    def _cancel(self, identity: str) -> None:
        if answer := self._ask("POST", f"/v1/jobs/{identity}/cancel"):
            self._note(identity, answer)

    def _delete(self, identity: str) -> None:
        if answer := self._ask("DELETE", f"/v1/jobs/{identity}"):
            self._note(identity, answer)
            self._promises.deleted.add(identity)

    def _note(self, identity: str, answer: httpx.Response) -> None:
        job: dict[str, Any] = answer.json()
        if answer.status_code >= 400:
            self._promises.untrue.append(f"{identity} was answered {answer.status_code}: {answer.text}")
            return
        if job["sequence"] < self._seen.get(identity, 0):
            self._promises.untrue.append(f"{identity} went back to {answer.text}")
        self._seen[identity] = job["sequence"]
        if job["status"] in OVER - {"deleted"}:
            self._promises.ended[identity] = job["status"]

    def _ask(self, method: str, path: str, **content: Any) -> httpx.Response | None:
        try:
            return self._http.request(method, path, **content)
        except httpx.TransportError:
            self.unanswered += 1
            return None


@contextmanager
def running(clients: Sequence[Client]) -> Iterator[None]:
    """Until the end, when each finishes what it has begun."""
    goes_on = threading.Event()
    goes_on.set()
    threads = [threading.Thread(target=client.run, args=(goes_on,), daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        goes_on.clear()
        for thread in threads:
            thread.join(LONGEST_REQUEST_SECONDS)
            assert not thread.is_alive()
