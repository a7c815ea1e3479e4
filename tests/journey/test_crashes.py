"""`kill -9` in the middle of a job, then a restart: the job still ends right in Convex."""

import pytest

from tests.support.product import SAID_AT_LENGTH, SERVICES
from tests.support.wer import word_error_rate


@pytest.mark.parametrize("victim", SERVICES)
def test_a_job_ends_right_although_a_service_was_killed(product, long_speech, victim):
    job_id = product.product.post(long_speech)["jobId"]
    product.reaches_convex(job_id, progress=0)

    product.stack[victim].kill()
    product.stack.start(victim)

    shown = product.end_in_convex(job_id)
    assert shown["status"] == "completed", shown
    assert shown["progress"] == 100
    assert word_error_rate(SAID_AT_LENGTH, shown["result"]["text"]) <= 0.2
    assert {**product.product.in_transcriber(job_id), "updatedAt": shown["updatedAt"]} == shown


def test_jobs_of_before_are_there_after_everything_was_killed(product, long_speech):
    job_id = product.product.post(long_speech)["jobId"]
    product.reaches_convex(job_id, progress=0)

    for name in SERVICES:
        product.stack[name].kill()
    product.stack.start(*SERVICES)

    assert product.end_in_convex(job_id)["status"] == "completed"
