"""The metrics: they are true."""

import asyncio
import re
import time

from prometheus_client.parser import text_string_to_metric_families

from tests.support.groq_server import GroqServer, error
from tests.transcriber.conftest import Api
from transcriber.metrics import LAG_PERIOD_SECONDS, Metrics
from transcriber.store.rows import Census


def samples(api: Api) -> dict[tuple[str, tuple[str, ...]], float]:
    """By name and the values of the labels, in the order of the labels' names."""
    families = text_string_to_metric_families(api.http.get("/metrics").text)
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_what_an_engine_does_is_counted(api: Api, groq: GroqServer) -> None:
    groq.answers.extend([error(500), error(400)])
    api.until(api.post().json()["jobId"], "failed")
    api.until(api.post().json()["jobId"], "completed")
    found = samples(api)
    assert found["transcriber_engine_errors_total", ("engine_unavailable", "groq")] == 1
    assert found["transcriber_engine_errors_total", ("engine_refused", "groq")] == 1
    assert found["transcriber_real_time_factor_count", ("groq",)] == 1
    assert 0 < found["transcriber_real_time_factor_sum", ("groq",)] < 5
    assert found["transcriber_audio_seconds_total", ("groq",)] == 11
    assert found["transcriber_engine_paused", ("groq",)] == 0
    assert found["transcriber_jobs", ("failed",)] == 1


def test_what_is_refused_is_counted_by_its_code(api: Api) -> None:
    for _ in range(2):
        assert api.post(b"no sound at all").status_code == 422
    assert api.http.get("/v1/jobs").status_code == 403
    found = samples(api)
    assert found["transcriber_requests_refused_total", ("not_audio",)] == 2
    assert found["transcriber_requests_refused_total", ("list_closed",)] == 1


def test_the_room_that_is_used_and_left_is_told(api: Api) -> None:
    found = samples(api)
    on_disk = sum(path.stat().st_size for path in api.data_dir.glob("transcriber.db*"))
    assert 4_096 <= found["transcriber_store_bytes", ()] <= on_disk
    assert found["transcriber_disk_free_bytes", ()] > 1_000_000


def test_what_can_happen_is_there_at_0_before_it_happens(api: Api) -> None:
    found = samples(api)
    for outcome in ("completed", "failed", "postponed", "stopped"):
        assert found["transcriber_runs_total", ("groq", outcome)] == 0
    assert found["transcriber_runs_total", ("fetch", "fetched")] == 0
    for outcome in ("refused", "taken", "timeout", "unreachable"):
        assert found["transcriber_webhook_attempts_total", (outcome, "default")] == 0


def test_the_process_tells_of_itself_and_of_its_event_loop(api: Api) -> None:
    found = samples(api)
    assert found["process_start_time_seconds", ()] > 1_700_000_000
    assert 0 <= found["transcriber_event_loop_lag_seconds", ()] < 30


async def test_the_lag_is_how_late_the_event_loop_wakes() -> None:
    metrics = Metrics()
    watching = asyncio.create_task(metrics.watch_event_loop())
    await asyncio.sleep(0)
    time.sleep(LAG_PERIOD_SECONDS + 0.2)  # noqa: ASYNC251 - what holds up the loop
    for _ in range(5):
        await asyncio.sleep(0)
    watching.cancel()
    text = metrics.exposition(Census({}, None), [], 0).decode()
    (lag,) = re.findall(r"^transcriber_event_loop_lag_seconds (\S+)$", text, re.MULTILINE)
    assert float(lag) >= 0.2
