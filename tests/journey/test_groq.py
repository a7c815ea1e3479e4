"""The same way with Groq's SDK in place of the local engine, against a server that answers as Groq does."""

import pytest

from tests.support.groq_server import KEY, TEXT, error, groq_server
from tests.support.product import DATA, journey


@pytest.fixture(scope="module")
def groq():
    with groq_server() as server:
        yield server


@pytest.fixture(scope="module")
def product(groq, tmp_path_factory):
    directory = tmp_path_factory.mktemp("groq")
    with journey(directory, GROQ_API_KEY=KEY, GROQ_BASE_URL=groq.url) as started:
        yield started


def test_what_groq_heard_is_read_from_convex(product, groq):
    job_id = product.product.post(DATA / "jfk.mp3")["jobId"]
    shown = product.end_in_convex(job_id)
    assert shown["status"] == "completed"
    assert shown["result"]["text"].strip() == TEXT.strip()
    assert groq.asked[-1].authorization == f"Bearer {KEY}"


def test_what_groq_refused_is_a_failed_job_in_convex(product, groq):
    groq.answers.append(error(400, "no such model"))
    job_id = product.product.post(DATA / "jfk.mp3")["jobId"]
    shown = product.end_in_convex(job_id)
    assert shown["status"] == "failed"
    assert shown["error"] == product.product.in_transcriber(job_id)["error"]
