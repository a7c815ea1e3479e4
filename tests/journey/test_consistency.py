"""Every row of Convex is what the API says of its job, whatever happened on the way: a short form of the bench."""

import math

import pytest

from tests.bench.figures.consistency import figure
from tests.bench.processes import Processes
from tests.bench.product_storm import Size, storm
from tests.support.chaos_proxy import FAULTS
from tests.support.job_rows import compare, setbacks
from tests.support.product import SERVICES

SHORT = Size(made_up_jobs=120, real_jobs=16, kills_each=1, seed=3)


@pytest.mark.timeout(300)
def test_after_a_storm_every_row_is_what_the_api_says(tmp_path):
    with Processes() as processes:
        report = storm(tmp_path, processes, SHORT)
    assert report.faults == []
    assert report.made_up.compared == SHORT.made_up_jobs
    assert report.real.compared >= SHORT.real_jobs
    assert report.kills == dict.fromkeys(SERVICES, 1)
    assert all(sum(edge[fault] for edge in report.edges.values()) for fault in FAULTS), report.edges
    assert report.outcomes["stale"]
    assert report.outcomes["503"]
    assert report.cancels
    assert report.views > 1
    shown = figure(report)
    assert [claim.text for claim in shown.claims if not claim.met] == []
    assert all(len(row) == len(shown.columns) for row in shown.rows)
    assert all(math.isfinite(cell) for row in shown.rows for cell in row if not isinstance(cell, str))


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
