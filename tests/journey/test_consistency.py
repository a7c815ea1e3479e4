"""Every row of Convex is what the API says of its job, whatever happened on the way: a short form of the bench."""

import math
import random
from dataclasses import replace

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.bench.figures.consistency import figure
from tests.bench.processes import Processes
from tests.bench.product_storm import Size, storm
from tests.support.background import background
from tests.support.chaos_proxy import FAULTS
from tests.support.job_rows import Comparison, compare, setbacks
from tests.support.live_server import live_server
from tests.support.product import DATA, SERVICES
from tests.support.rash_visitors import RashVisitors
from tests.support.waiting import eventually

SHORT = Size(made_up_jobs=120, real_jobs=16, kills_each=1, seed=3)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    with Processes() as processes:
        return storm(tmp_path_factory.mktemp("storm"), processes, SHORT)


@pytest.mark.timeout(300)
def test_after_a_storm_every_row_is_what_the_api_says(report):
    assert report.faults == []
    assert report.made_up.compared == SHORT.made_up_jobs
    assert report.real.compared == len(report.listed) >= SHORT.real_jobs
    assert len(report.taken) >= SHORT.real_jobs
    assert report.kills == dict.fromkeys(SERVICES, 1)
    assert all(sum(edge[fault] for edge in report.edges.values()) for fault in FAULTS), report.edges
    assert report.outcomes["stale"]
    assert report.outcomes["503"]
    assert report.cancels
    assert report.views > 1


def test_the_figure_of_a_storm_has_every_number_and_meets_its_claims(report):
    shown = figure(report)
    assert missed(report) == []
    assert all(len(row) == len(shown.columns) for row in shown.rows)
    assert all(math.isfinite(cell) for row in shown.rows for cell in row if not isinstance(cell, str))


def test_a_job_that_was_taken_and_is_not_listed_is_a_fault(report):
    gone = min(report.taken)
    after = replace(report, listed=report.listed - {gone})
    assert after.faults == [f"{gone} was taken and is gone"]
    assert missed(after) == ["jobs that were taken and are gone"]


def test_a_report_that_compared_nothing_does_not_meet_the_claims(report):
    nothing = replace(report, made_up=Comparison(), real=Comparison())
    assert missed(nothing) == ["made-up jobs compared", "real jobs compared"]


def missed(report):
    return [claim.text for claim in figure(report).claims if not claim.met]


def test_a_job_is_taken_whose_upload_or_retry_was_answered_202(api):
    url, jobs = api
    with background() as loop:
        visitors = RashVisitors(loop, url=url, recording=DATA / "jfk.mp3", chance=random.Random(1))
        loop.do(visitors.send(3, progress=lambda: 1.0))
        assert visitors.taken == jobs
        eventually(lambda: visitors.meet(min(jobs), 0.0) or len(jobs) > 3)
        eventually(lambda: visitors.are_quiet)
        loop.do(visitors.close())
    assert visitors.taken == jobs


@pytest.fixture
def api():
    """One that takes everything, and never lets a job end: a URL, and the ids that it has answered 202."""
    jobs = set()

    async def upload(request):
        async with request.form() as form:
            return taken(form["job_id"])

    async def retry(_):
        return taken(f"retry-{len(jobs)}")

    async def change(request):
        return JSONResponse({"jobId": request.path_params["job_id"], "status": "cancelled"})

    def taken(job_id):
        jobs.add(job_id)
        return JSONResponse({"jobId": job_id, "status": "queued"}, 202)

    paths = (
        ("/v1/jobs", upload, "POST"),
        ("/v1/jobs/{job_id}/retry", retry, "POST"),
        ("/v1/jobs/{job_id}/cancel", change, "POST"),
        ("/v1/jobs/{job_id}", change, "DELETE"),
    )
    with live_server(
        Starlette(routes=[Route(path, answer, methods=[method]) for path, answer, method in paths])
    ) as url:
        yield url, jobs


JOB = {
    "jobId": "a",
    "userId": "anonymous",
    "status": "completed",
    "progress": 100,
    "sequence": 4,
    "result": {"text": "what was said", "segments": None},
    "error": None,
    "timestamps": {"createdAt": 1, "startedAt": 2, "completedAt": 3},
}
ROW = {**JOB, "updatedAt": 9}


def test_a_row_that_says_the_same_is_no_fault():
    assert compare({"a": JOB}, {"a": ROW}).faults == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("userId", "somebody"),
        ("status", "processing"),
        ("progress", 99),
        ("sequence", 3),
        ("result", {"text": "what was sad", "segments": None}),
        ("error", {"code": "x", "message": ""}),
        ("timestamps", {"createdAt": 1, "startedAt": 2, "completedAt": None}),
    ],
)
def test_the_comparison_sees_a_field_that_differs(name, value):
    assert compare({"a": JOB}, {"a": {**ROW, name: value}}).differing


def test_the_comparison_sees_a_field_that_only_one_of_them_has():
    assert compare({"a": JOB}, {"a": {name: ROW[name] for name in ROW if name != "error"}}).differing
    assert compare({"a": JOB}, {"a": {**ROW, "expiresAt": 7}}).differing


def test_the_comparison_sees_a_row_that_is_missing():
    assert compare({"a": JOB}, {}).missing


def test_the_comparison_sees_a_deleted_job_that_is_shown():
    assert compare({"a": {**JOB, "status": "deleted"}}, {"a": ROW}).deleted_visible
    assert compare({"a": {**JOB, "status": "deleted"}}, {}).faults == []


@pytest.mark.parametrize(
    ("views", "count"),
    [
        ([{}, {"a": 1}, {"a": 3}, {"a": 3, "b": 1}, {"b": 2}], 0),
        ([{"a": 3}, {"a": 2}], 1),
        ([{"a": 3}, {}, {"a": 4}], 1),
    ],
)
def test_a_page_that_is_shown_something_older_is_seen(views, count):
    assert len(setbacks(views)) == count
