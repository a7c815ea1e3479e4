"""`npm run compare` between a real API with hundreds of jobs and a real development backend."""

import re
from typing import Any

from tests.support.reconciling import ALL, OF_EACH_OTHER, Sides


def later(job: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An update that Convex takes and the API never sent."""
    return job | {"sequence": job["sequence"] + 1} | changes


def named(said: str) -> dict[str, set[str]]:
    """The fields that are said to differ, by job."""
    lines = (line.split(" differs in ", 1) for line in said.splitlines())
    return {job_id: set(re.findall(r"\w+(?= \(API )|result$", fields)) for job_id, fields in lines}


def test_jobs_that_never_reached_convex_are_each_named(both: Sides) -> None:
    ended = both.compare()
    assert ended.code == 1
    missing = ALL - OF_EACH_OTHER  # the deleted ones are nowhere to be seen, as it should be
    assert ended.err.count(" is not in Convex\n") == missing
    assert len(ended.err.splitlines()) == missing
    assert ended.last == f"{ALL} jobs: {OF_EACH_OTHER} the same, {missing} different"


def test_the_rows_that_are_not_what_the_api_says_are_named_with_their_fields(both: Sides) -> None:
    tampered = {
        "status": "processing",
        "progress": 41,
        "error": {"code": "gave_up", "message": "…"},
        "timestamps": {"createdAt": 1, "startedAt": None, "completedAt": None},
        "result": None,
    }
    both.backfill()
    jobs = both.jobs("completed")
    for job, (field, value) in zip(jobs, tampered.items(), strict=False):
        both.post_to_convex(later(job, **{field: value}))
    ended = both.compare()
    assert ended.code == 1
    assert named(ended.err) == {
        job["jobId"]: {field, "sequence"} for job, field in zip(jobs, tampered, strict=False)
    }
    assert ended.last == f"{ALL} jobs: {ALL - 5} the same, 5 different"


def test_what_was_said_differs_and_is_not_repeated(both: Sides) -> None:
    both.backfill()
    job = both.jobs("completed")[50]
    both.post_to_convex(later(job, result=job["result"] | {"text": "And so, my fellow Romans"}))
    ended = both.compare()
    assert ended.err.endswith(" result\n")
    assert "fellow" not in ended.err


def test_a_deleted_job_that_convex_shows_is_named(both: Sides) -> None:
    both.backfill()
    job = both.jobs("deleted")[3]
    both.post_to_convex(later(job, status="completed"))
    ended = both.compare()
    assert ended.code == 1
    assert ended.err == f"{job['jobId']} is deleted, and Convex shows it\n"


def test_a_wrong_address_is_said_to_be_one(both: Sides) -> None:
    ended = both.compare("--convex", both.site_url)
    assert ended.code == 1
    assert f"{both.site_url} answers 404: No matching routes found" in ended.err
    assert "--convex" in ended.err
