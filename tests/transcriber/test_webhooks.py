"""Events on their way to several receivers: each for itself, signed with every secret, and as the receiver stands."""

import asyncio
import itertools
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook as Verifier

from tests.support.process import Service
from tests.support.waiting import eventually
from tests.support.webhook_receiver import SECRET, WebhookReceiver, webhook_receiver
from tests.transcriber.conftest import Api, job_id
from tests.transcriber.test_events import Post
from transcriber.backoff import Backoff
from transcriber.metrics import Metrics
from transcriber.model import JobId, WebhookName
from transcriber.notify import Notifier
from transcriber.notify.standing import Standing
from transcriber.settings import Webhook

NEXT_SECRET = "whsec_dGhlIG5leHQgc2VjcmV0IG9mIHRoZSB0ZXN0cw=="
STEPS = ["queued", "started", "completed"]
DEFAULT = WebhookName("default")


@pytest.fixture(scope="module")
def running_second() -> Iterator[WebhookReceiver]:
    with webhook_receiver(NEXT_SECRET) as server:
        yield server


@pytest.fixture
def second(running_second: WebhookReceiver) -> Iterator[WebhookReceiver]:
    """Another receiver, with a secret of its own."""
    running_second.reset()
    yield running_second
    assert running_second.forged == []


@pytest.fixture
def more(tmp_path: Path) -> Callable[..., str]:
    """The path of a file with one more webhook, called `second`."""

    def written(url: str, *lines: str) -> str:
        file = tmp_path / "transcriber.toml"
        secrets = f'secrets = ["{NEXT_SECRET}"]'
        file.write_text("\n".join(["[[webhooks]]", 'name = "second"', f'url = "{url}"', secrets, *lines]))
        return str(file)

    return written


def test_while_secrets_are_rotated_either_verifies_what_is_sent(
    start: Callable[..., Api], receiver: WebhookReceiver
) -> None:
    api = start(TRANSCRIBER_WEBHOOK_SECRET=f"{NEXT_SECRET} {SECRET}")
    identity = job_id()
    api.post(job_id=identity)
    eventually(lambda: receiver.types(identity) == STEPS)
    for webhook in receiver.taken(identity):
        assert len(webhook.signature.split(" ")) == 2
        headers = {
            "webhook-id": webhook.webhook_id,
            "webhook-timestamp": webhook.timestamp,
            "webhook-signature": webhook.signature,
        }
        for secret in (SECRET, NEXT_SECRET):
            Verifier(secret).verify(webhook.body, headers)


def test_all_that_is_told_of_a_job_is_one_trace_and_another_jobs_is_another(
    start: Callable[..., Api], receiver: WebhookReceiver
) -> None:
    api = start()
    receiver.answers.append((500, {}))
    traces = []
    for identity in (job_id(), job_id()):
        api.post(job_id=identity)
        eventually(lambda identity=identity: receiver.types(identity) == STEPS)
        told = {one.webhook_id: one.traceparent for one in receiver.received if one.data["jobId"] == identity}
        parts = [re.fullmatch("00-([0-9a-f]{32})-([0-9a-f]{16})-01", text) for text in told.values()]
        (trace,) = {part[1] for part in parts}
        assert len({part[2] for part in parts}) == len(told)
        traces.append(trace)
    assert len(set(traces)) == 2
    again = [one for one in receiver.received if one.webhook_id == receiver.received[0].webhook_id]
    assert [one.status for one in again] == [500, 200]
    assert again[0].traceparent == again[1].traceparent


def test_each_webhook_gets_its_own_signature_and_the_types_it_wants(
    start: Callable[..., Api], receiver: WebhookReceiver, second: WebhookReceiver, more: Callable[..., str]
) -> None:
    api = start(TRANSCRIBER_CONFIG=more(second.url, 'event_types = ["*.completed"]'))
    identity = job_id()
    api.post(job_id=identity)
    eventually(lambda: receiver.types(identity) == STEPS)
    eventually(lambda: second.types(identity) == ["completed"])
    assert second.taken()[0].webhook_id == receiver.taken()[-1].webhook_id
    assert second.taken()[0].body == receiver.taken()[-1].body


def test_a_dead_webhook_takes_nothing_from_the_other(
    start: Callable[..., Api], receiver: WebhookReceiver, more: Callable[..., str]
) -> None:
    api = start(TRANSCRIBER_CONFIG=more("http://127.0.0.1:9/away"))
    identities = [job_id() for _ in range(4)]
    for identity in identities:
        api.post(job_id=identity)
    for identity in identities:
        eventually(lambda identity=identity: receiver.types(identity) == STEPS)
    metrics = eventually(
        lambda: with_all(api, 'waiting{webhook="second"} 12.0', 'waiting{webhook="default"} 0.0')
    )
    assert re.search(r'attempts_total{outcome="unreachable",webhook="second"} [1-9]', metrics)
    assert 'attempts_total{outcome="unreachable",webhook="default"} 0.0' in metrics
    assert 'outbox_oldest_age_seconds{webhook="default"} 0.0' in metrics


def with_all(api: Api, *texts: str) -> str | None:
    """The metrics, once all of these are in them."""
    metrics = api.http.get("/metrics").text
    return metrics if all(text in metrics for text in texts) else None


def test_a_webhook_that_never_answers_slows_neither_jobs_nor_the_other(
    start: Callable[..., Api], receiver: WebhookReceiver, more: Callable[..., str]
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        api = start(TRANSCRIBER_CONFIG=more(f"http://127.0.0.1:{silent.getsockname()[1]}/"))
        identities = [job_id() for _ in range(20)]
        for identity in identities:
            api.post(job_id=identity)
        for identity in identities:
            api.until(identity, "completed")
            eventually(lambda identity=identity: receiver.types(identity) == STEPS)
        # not one attempt at the silent one has ended meanwhile
        metrics = eventually(
            lambda: with_all(api, 'waiting{webhook="second"} 60.0', 'waiting{webhook="default"} 0.0')
        )
        assert 'attempts_total{outcome="timeout",webhook="second"} 0.0' in metrics


@pytest.fixture
def serve(environment: dict[str, str]) -> Iterator[Callable[..., tuple[Service, Api]]]:
    with ExitStack() as stack:

        def serve(**changes: str) -> tuple[Service, Api]:
            service = Service(["transcriber", "serve"], {**environment, "TRANSCRIBER_PORT": "0", **changes})
            stack.callback(service.close)
            http = stack.enter_context(httpx.Client(base_url=service.url, timeout=30))
            return service, Api(http, Path(environment["TRANSCRIBER_DATA_DIR"]))

        yield serve


def test_a_kill_between_an_attempt_and_its_record_sends_the_same_event_again(
    serve, receiver: WebhookReceiver
) -> None:
    receiver.holding = True
    service, api = serve(TRANSCRIBER_API_KEY="key", TZ="America/New_York")
    identity = job_id()
    api.post(job_id=identity)
    api.until(identity, "completed")
    eventually(lambda: receiver.arrived == 1)
    service.kill()
    receiver.holding = False
    _, api = serve(TRANSCRIBER_API_KEY="key", TZ="America/New_York")
    eventually(lambda: receiver.types(identity)[-3:] == STEPS)
    events = api.http.get("/v1/events", headers={"authorization": "Bearer key"}).json()["items"]
    assert events[-1]["deliveries"][0]["attempts"] == 2
    received = receiver.taken(identity)
    assert len({(webhook.webhook_id, webhook.body) for webhook in received}) == 3
    assert [webhook.data["sequence"] for webhook in received[-3:]] == [1, 2, 3]


def test_an_hour_of_another_time_zone_does_not_matter_to_a_signature(
    serve, receiver: WebhookReceiver
) -> None:
    _, api = serve(TZ="America/New_York")
    identity = job_id()
    api.post(job_id=identity)
    eventually(lambda: receiver.types(identity) == STEPS)
    assert abs(int(receiver.taken(identity)[0].timestamp) - time.time()) < 60


class Sender:
    """A notifier over a real store and receiver, whose clocks the test moves."""

    def __init__(self, post: Post, receiver: WebhookReceiver, backoff: Backoff) -> None:
        self.post = post
        self.receiver = receiver
        self.written = asyncio.Event()
        self.elapsed = 0.0
        self.began = time.time()
        post.ms = round(self.began * 1000)
        self.notifier = Notifier(
            outbox=post.outbox,
            webhook=Webhook(DEFAULT, receiver.url, (SECRET,)),
            written=self.written,
            metrics=Metrics(),
            now=lambda: post.ms,
            chance=lambda: 0.5,
            backoff=backoff,
            monotonic=lambda: self.elapsed,
        )

    def start(self) -> None:
        self.running = asyncio.create_task(self.notifier.run())

    def advance(self, seconds: float) -> None:
        self.elapsed += seconds
        self.post.ms += round(seconds * 1000)
        self.written.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.005)

    async def has_sent(self, number: int) -> None:
        """So many attempts in all, and no more for as long as the sender needs to look twice."""
        await self.until(lambda: len(self.receiver.received) >= number)
        for _ in range(2):
            self.written.set()
            while self.written.is_set():
                await asyncio.sleep(0)
            await self.post.outbox.backlogs()
        assert len(self.receiver.received) == number


@pytest.fixture
def sending(tmp_path: Path, receiver: WebhookReceiver):
    @asynccontextmanager
    async def sending(backoff: Backoff, *, jobs: int) -> AsyncIterator[Sender]:
        """With so many jobs of one event each, all failing at their first attempt if the receiver's answers say so."""
        post = Post(tmp_path)
        await post.configure(DEFAULT)
        sender = Sender(post, receiver, backoff)
        for _ in range(jobs):
            await post.submit()
        sender.start()
        try:
            yield sender
        finally:
            sender.running.cancel()
            await asyncio.gather(sender.running, return_exceptions=True)
            post.database.close()

    return sending


async def test_a_webhook_that_is_away_is_asked_once_at_a_time_and_gets_everything_once_it_is_back(
    sending, receiver: WebhookReceiver
) -> None:
    receiver.answers.extend([(500, {})] * 7)
    async with sending(Backoff(first_seconds=10, longest_seconds=1_000), jobs=3) as sender:
        await sender.has_sent(3)
        sender.advance(11)
        await sender.has_sent(6)  # away: each waits 20 s, and the receiver is asked in 10 s at the earliest
        sender.advance(21)
        await sender.has_sent(7)  # the one that asked waits 40 s, the receiver is asked in 20 s
        sender.advance(21)
        await sender.has_sent(10)
        assert len(receiver.taken()) == 3


async def test_a_receiver_that_asks_for_quiet_hears_nothing_until_then(
    sending, receiver: WebhookReceiver
) -> None:
    for form in ("seconds", "date"):
        async with sending(Backoff(1, 1), jobs=1) as sender:
            receiver.reset()
            at = datetime.fromtimestamp(sender.began + 100, UTC)
            receiver.answers.append(
                (503, {"Retry-After": "100" if form == "seconds" else format_datetime(at, usegmt=True)})
            )
            await sender.has_sent(1)
            await sender.post.submit()
            sender.advance(97)
            await sender.has_sent(1)
            sender.advance(4)
            await sender.has_sent(3)


async def test_a_clock_that_is_set_back_does_not_keep_an_event_waiting(
    sending, receiver: WebhookReceiver
) -> None:
    receiver.answers.append((500, {}))
    async with sending(Backoff(30, 30), jobs=1) as sender:
        await sender.has_sent(1)
        sender.post.ms -= 1_000_000
        # signed with the wrong time, it is refused: but it is sent
        sender.written.set()
        await sender.until(lambda: receiver.arrived == 2)
        await sender.until(lambda: bool(receiver.forged))
        receiver.forged.clear()


async def test_an_attempt_whose_record_fails_is_made_again(sending, receiver: WebhookReceiver) -> None:
    receiver.holding = True
    async with sending(Backoff(1, 1), jobs=1) as sender:
        await sender.until(lambda: receiver.arrived == 1)
        await sender.post.database.transaction(
            lambda db: db.execute(
                "CREATE TRIGGER full_disk BEFORE UPDATE OF taken_at ON deliveries"
                " BEGIN SELECT RAISE (ABORT, 'no room'); END"
            )
        )
        receiver.holding = False
        with pytest.raises(ExceptionGroup, match="unhandled errors"):
            await sender.running
        await sender.post.database.transaction(lambda db: db.execute("DROP TRIGGER full_disk"))
        sender.start()
        await sender.has_sent(2)
        first, second = receiver.taken()
        assert (first.webhook_id, first.body) == (second.webhook_id, second.body)


def test_jobs_that_are_always_refused_say_nothing_of_a_receiver_until_they_are_three() -> None:
    standing = Standing(Backoff(first_seconds=10, longest_seconds=10))
    for name in itertools.islice(itertools.cycle(["a", "b"]), 20):
        standing.failed(JobId(name), quiet_seconds=0, now=0, chance=0.5)
    assert not standing.is_away
    assert standing.free(in_flight=3, now=0) == 13
    standing.failed(JobId("c"), quiet_seconds=0, now=0, chance=0.5)
    assert standing.is_away
    assert standing.free(in_flight=0, now=9.9) == 0
    assert standing.free(in_flight=0, now=10) == 1
    assert standing.free(in_flight=1, now=10) == 0
    assert standing.took()
    assert standing.free(in_flight=0, now=1) == 16
