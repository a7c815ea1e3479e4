import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.groq_server import KEY, GroqServer, groq_server
from tests.support.job_bench import Bench
from tests.support.live_server import live_server
from tests.support.waiting import eventually
from tests.support.webhook_receiver import SECRET, WebhookReceiver, webhook_receiver
from transcriber.app import build
from transcriber.backoff import Backoff
from transcriber.intake.resolve import Resolve, resolve_by_system
from transcriber.settings import parse

DATA = Path(__file__).parent.parent / "data"
QUICK = Backoff(first_seconds=0.02, longest_seconds=0.1)
_numbers = itertools.count()


def job_id() -> str:
    return f"a-job-of-the-tests-{next(_numbers):06}"


@dataclass
class Api:
    """A client of a running API, with the words of the tests."""

    http: httpx.Client
    data_dir: Path

    def post(self, audio: bytes | None = None, *, name: str = "speech.wav", **fields: str) -> httpx.Response:
        audio = (DATA / "jfk.wav").read_bytes() if audio is None else audio
        return self.http.post("/v1/jobs", files={"file": (name, audio)}, data=fields)

    def job(self, identity: str) -> dict:
        return self.http.get(f"/v1/jobs/{identity}").raise_for_status().json()

    def until(self, identity: str, *statuses: str) -> dict:
        def reached() -> dict | None:
            job = self.job(identity)
            return job if job["status"] in statuses else None

        return eventually(reached, seconds=30)

    def recordings(self) -> list[Path]:
        return sorted((self.data_dir / "audio").iterdir())


@pytest.fixture(scope="session")
def running_receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as server:
        yield server


@pytest.fixture(scope="session")
def running_groq() -> Iterator[GroqServer]:
    with groq_server() as server:
        yield server


@pytest.fixture
def receiver(running_receiver: WebhookReceiver) -> Iterator[WebhookReceiver]:
    running_receiver.reset()
    yield running_receiver
    assert running_receiver.forged == []


@pytest.fixture
def groq(running_groq: GroqServer) -> Iterator[GroqServer]:
    running_groq.reset()
    yield running_groq
    running_groq.release()


def environment_of(folder: Path, receiver: WebhookReceiver, groq: GroqServer) -> dict[str, str]:
    return {
        "TRANSCRIBER_DATA_DIR": str(folder),
        "TRANSCRIBER_WEBHOOK_URL": receiver.url,
        "TRANSCRIBER_WEBHOOK_SECRET": SECRET,
        "TRANSCRIBER_PUBLIC_URL": "https://speech.example",
        "TRANSCRIBER_PROGRESS_SECONDS": "0",
        "GROQ_API_KEY": KEY,
        "GROQ_BASE_URL": groq.url,
    }


@contextmanager
def running(environment: dict[str, str], *, resolve: Resolve = resolve_by_system) -> Iterator[Api]:
    settings = parse(environment)
    app = build(settings, run_backoff=QUICK, webhook_backoff=QUICK, resolve=resolve)
    with live_server(app) as url, httpx.Client(base_url=url, timeout=30) as http:
        yield Api(http, settings.data_dir)


@pytest.fixture
def environment(tmp_path: Path, receiver: WebhookReceiver, groq: GroqServer) -> dict[str, str]:
    return environment_of(tmp_path / "data", receiver, groq)


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Callable[..., Api]]:
    """Starts the API with changed variables; all are stopped at the end."""
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(running(environment | changes))


@pytest.fixture(scope="module")
def shared_api(
    tmp_path_factory: pytest.TempPathFactory, running_receiver: WebhookReceiver, running_groq: GroqServer
) -> Iterator[Api]:
    """One for a whole module, for what leaves no job behind."""
    with running(environment_of(tmp_path_factory.mktemp("shared"), running_receiver, running_groq)) as api:
        yield api


@pytest.fixture
def api(start: Callable[..., Api]) -> Api:
    """With Groq's engine against the local server: it ends jobs at once, or holds them as long as a test wants."""
    return start()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.database.close()
