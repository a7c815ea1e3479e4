"""Audio → transcriber → gateway → Convex functions → the official Python client."""

from tests.support.product import DATA, SAID
from tests.support.wer import word_error_rate


def _without_updated_at(job):
    assert isinstance(job["updatedAt"], float | int)
    return {name: value for name, value in job.items() if name != "updatedAt"}


def test_speech_is_read_as_text_from_convex(product):
    job = product.product.post(DATA / "jfk.wav", user_id="ada")
    shown = product.end_in_convex(job["jobId"])
    assert shown["status"] == "completed"
    assert shown["userId"] == "ada"
    assert word_error_rate(SAID, shown["result"]["text"]) <= 0.2


def test_a_completed_job_is_the_same_in_convex_and_in_the_api(product):
    job_id = product.product.post(DATA / "austen-0880.wav")["jobId"]
    shown = product.end_in_convex(job_id)
    assert shown["status"] == "completed"
    assert _without_updated_at(shown) == product.product.in_transcriber(job_id)


def test_a_failed_job_is_the_same_in_convex_and_in_the_api(product, tmp_path):
    cut = tmp_path / "cut.wav"
    cut.write_bytes((DATA / "jfk.wav").read_bytes()[:100_000])
    job_id = product.product.post(cut)["jobId"]
    shown = product.end_in_convex(job_id)
    assert shown["status"] == "failed"
    assert shown["error"]["code"] == "audio_truncated"
    assert _without_updated_at(shown) == product.product.in_transcriber(job_id)


def test_a_cancelled_job_is_the_same_in_convex_and_in_the_api(product, long_speech):
    job_id = product.product.post(long_speech)["jobId"]
    product.reaches_convex(job_id, progress=0)
    product.product.cancel(job_id)
    shown = product.end_in_convex(job_id)
    assert shown["status"] == "cancelled"
    assert _without_updated_at(shown) == product.product.in_transcriber(job_id)
