"""The product with an edge of chaos before gateway and backend, and what can be asked of it."""

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from stack.ports import ANY, choose
from stack.service import Service
from stack.stack import Stack
from stack.workspace import Keys
from tests.support.background import Background
from tests.support.chaos_proxy import ChaosProxy, chaos_proxy
from tests.support.groq_server import KEY as GROQ_KEY
from tests.support.http_wire import Message
from tests.support.job_rows import Job, read_rows
from tests.support.product import ENVIRONMENT, SERVICES

WRITE_CONFLICTS = 0.05
"""Of the mutations that change a row; to the very end."""
API_KEY = "made-up-key-of-the-list"
OUTCOMES = {"applied", "duplicate", "stale"}
STATUSES: tuple[dict[str, str], ...] = ({}, {"status": "deleted"})
"""The list leaves out what is deleted unless it is asked for."""


class Wires:
    """What was heard on the two edges: the events that the gateway named, and how each was answered by Convex."""

    def __init__(self) -> None:
        self.events: set[str] = set()
        self.taken: set[str] = set()
        self.outcomes: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        """Events that Convex has not taken yet."""
        return len(self.events) - len(self.taken)

    def hear_gateway(self, _request: Message, answer: Message) -> None:
        if answer.status == 200:
            self.events.add(json.loads(answer.body)["event_id"])

    def hear_convex(self, request: Message, answer: Message) -> None:
        outcome = json.loads(answer.body)["outcome"] if answer.status == 200 else str(answer.status)
        self.outcomes[outcome] += 1
        if outcome in OUTCOMES:
            self.taken.add(request.header("webhook-id"))


class Scene:
    """Everything that takes part, running."""

    def __init__(self, stack: Stack, loop: Background, edges: Mapping[str, ChaosProxy], wires: Wires) -> None:
        self.stack = stack
        self.loop = loop
        self.edges = edges
        self.wires = wires
        self.client = httpx.Client(trust_env=False, timeout=60)

    def metric(self, service: str, name: str, **labels: str) -> float:
        """The sum of those with these labels. Raises LookupError where there are none: that is not 0."""
        text = self.client.get(f"{self.stack[service].url}/metrics").raise_for_status().text
        families = text_string_to_metric_families(text)
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        values = [sample.value for sample in samples if labels.items() <= sample.labels.items()]
        if not values:
            raise LookupError(f"{service} has no metric {name} of {labels}")
        return sum(values)

    def deliveries(self, state: str) -> int:
        return int(self.metric("gateway", "gateway_deliveries", destination="convex", state=state))

    def is_settled(self) -> bool:
        """Whether nothing is under way any more: asked from the beginning of the way to its end."""
        unfinished = sum(
            self.metric("transcriber", "transcriber_jobs", status=status)
            for status in ("queued", "processing")
        )
        return (
            not unfinished
            and not self.metric("transcriber", "transcriber_outbox_waiting")
            and all(edge.is_empty for edge in self.edges.values())
            and not self.deliveries("pending")
        )

    def failed(self) -> list[str]:
        """The events that Convex never answered as it should; and that the gateway counts others than were named."""
        delivered, named = self.deliveries("delivered"), len(self.wires.events)
        odd = [] if delivered == named else [f"{named} events were named, {delivered} are delivered"]
        return [f"{event} was not taken" for event in self.wires.events - self.wires.taken] + odd

    def real_jobs(self) -> dict[str, Job]:
        """Each as `GET /v1/jobs/{id}` has it, deleted ones too."""
        url = f"{self.stack['transcriber'].url}/v1/jobs"
        ids = [job["jobId"] for status in STATUSES for job in self._listed(url, status)]
        return {job_id: self.client.get(f"{url}/{job_id}").raise_for_status().json() for job_id in ids}

    def rows(self, job_ids: list[str]) -> dict[str, Job]:
        return read_rows(self.client, self.stack["convex"].url, job_ids)

    def _listed(self, url: str, status: dict[str, str]) -> Iterator[Job]:
        cursor: dict[str, str] = {}
        while True:
            asked: dict[str, Any] = {"limit": 100, **status, **cursor}
            answer = self.client.get(url, params=asked, headers={"Authorization": f"Bearer {API_KEY}"})
            page = answer.raise_for_status().json()
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            cursor = {"cursor": page["next_cursor"]}


@contextmanager
def scene(folder: Path, groq_url: str, loop: Background, chance: random.Random) -> Iterator[Scene]:
    """Gateway, backend and transcriber as `make run` configures them, but with an edge before gateway and backend."""
    environment = {
        **ENVIRONMENT,
        "GROQ_API_KEY": GROQ_KEY,
        "GROQ_BASE_URL": groq_url,
        "TRANSCRIBER_API_KEY": API_KEY,
        "GATEWAY_LOG_LEVEL": "warning",
        "CONVEX_DEV_FAULTS": json.dumps({"writeConflict": WRITE_CONFLICTS}),
    }
    wires = Wires()
    with ExitStack() as ends:
        stack = ends.enter_context(
            Stack(data=folder, ports=choose(ANY), keys=Keys.made_up(), environment=environment)
        )
        ports = {"gateway": stack.ports.gateway, "convex": stack.ports.convex_site}
        hears = {"gateway": wires.hear_gateway, "convex": wires.hear_convex}
        edges = {
            name: ends.enter_context(
                chaos_proxy(loop, target_port=ports[name], chance=chance, hear=hears[name])
            )
            for name in ports
        }
        _redirect(
            stack["transcriber"], TRANSCRIBER_WEBHOOK_URL=f"{edges['gateway'].url}/webhooks/transcriber"
        )
        _redirect(stack["gateway"], CONVEX_SITE_URL=edges["convex"].url)
        stack.start(*SERVICES)
        here = Scene(stack, loop, edges, wires)
        ends.callback(here.client.close)
        yield here


def _redirect(service: Service, **environment: str) -> None:
    service.program = replace(service.program, environment={**service.program.environment, **environment})
