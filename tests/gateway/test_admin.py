"""/v1: who may ask, and that lists are whole."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.gateway_app import (
    SOURCES,
    TOKEN,
    fresh_id,
    gateway_without_server,
    problem_of,
    recording_destination,
    running_gateway,
)
from tests.support.waiting import eventually

PATHS = ["/v1/events", "/v1/events/evt_1"]


@pytest.fixture(scope="module")
def destination():
    with recording_destination() as recording:
        yield recording


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, destination):
    text = f"""{SOURCES}
    [[destinations]]
    name = "app"
    url = "{destination.url}"
    event_types = ["wanted"]
    allow_private_address = true
    dead_on = [410]
    """
    with running_gateway(tmp_path_factory.mktemp("gateway"), text) as running:
        for number in range(7):
            running.post(b'{"type": "t%d", "data": {"jobId": "k%d"}}' % (number % 2, number % 3))
        yield running


def pages(gateway, *, limit, between=lambda: None, **parameters):
    """The ids of a whole list, page by page; `between` happens after each page."""
    ids, cursor = [], {}
    while True:
        page = gateway.admin("/v1/events", limit=limit, **parameters, **cursor).json()
        assert len(page["items"]) <= limit
        ids += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            return ids
        cursor = {"cursor": page["next_cursor"]}
        between()


@pytest.mark.parametrize("path", PATHS)
def test_without_a_configured_token_nobody_may_ask_not_even_from_loopback(tmp_path, path):
    text = SOURCES.replace(f'admin_token = "{TOKEN}"', "")
    with running_gateway(tmp_path, text) as gateway:
        for headers in ({}, {"authorization": "Bearer"}, {"authorization": "Bearer None"}):
            response = gateway.client.get(f"{gateway.url}{path}", headers=headers)
            assert problem_of(response)["status"] == 403


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer \xe9", f"Bearer {TOKEN} {TOKEN}"],
)  # fmt: skip
def test_without_the_right_token_the_answer_is_401_and_says_how(gateway, path, authorization):
    headers = {} if authorization is None else {"authorization": authorization.encode("latin-1")}
    response = gateway.client.get(f"{gateway.url}{path}", headers=headers)
    problem_of(response)
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert TOKEN not in response.text


def test_the_scheme_may_be_written_in_any_case(gateway):
    headers = {"authorization": f"bEARER {TOKEN}"}
    assert gateway.client.get(f"{gateway.url}/v1/events", headers=headers).status_code == 200


@pytest.mark.parametrize("limit", [1, 2, 3, 200])
def test_the_pages_of_a_list_have_every_event_exactly_once_newest_first(gateway, limit):
    whole = gateway.admin("/v1/events", limit=200).json()["items"]
    ids = pages(gateway, limit=limit)
    assert ids == [item["id"] for item in whole]
    assert len(set(ids)) == len(ids) >= 7


def test_events_that_arrive_while_paging_shift_no_page(gateway):
    before = pages(gateway, limit=200)
    during = pages(gateway, limit=2, between=lambda: gateway.post(b'{"type": "late"}'))
    assert during == before


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"type": "t0", "until": 2**62}, {"t0"}),
        ({"key": "k1", "type": "t1"}, {"t1"}),
        ({"source": "producer", "type": "t0"}, {"t0"}),
        ({"source": "nobody"}, set()),
        ({"destination": "nobody"}, set()),
        ({"state": "dead", "type": "t0"}, set()),
        ({"since": 2**62}, set()),
        ({"until": 0}, set()),
        ({"type": "T0"}, set()),
        ({"type": "t%"}, set()),
        ({"key": ""}, set()),
    ],
)
def test_a_list_can_be_narrowed(gateway, parameters, expected):
    items = gateway.admin("/v1/events", **parameters).json()["items"]
    assert {item["type"] for item in items} == expected


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("limit=0", "limit"), ("limit=201", "limit"), ("limit=x", "limit"), ("limit=-1", "limit"), ("limit=", "limit"), ("limit=1.5", "limit"),
        ("limit=%D9%A3", "limit"), ("limit=1&limit=1", "more than once"), ("since=x", "since"), ("until=99999999999999999999", "until"),
        ("since=9223372036854775808", "since"), ("state=lost", "state"), ("state=", "state"), ("cursor=x", "cursor"), ("cursor=", "cursor"),
        ("cursor=%00", "cursor"), ("cursor=LTE", "cursor"), ("sauce=x", "there are cursor, destination"), ("%FF=1", "There is no parameter"),
    ],
)  # fmt: skip
def test_a_parameter_of_the_wrong_form_is_a_400_that_names_it(gateway, query, complaint):
    response = gateway.client.get(
        f"{gateway.url}/v1/events?{query}", headers={"authorization": f"Bearer {TOKEN}"}
    )
    assert response.status_code == 400
    assert complaint in str(problem_of(response)["detail"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["source", "state", "type", "key", "since", "until", "cursor", "limit", "x"]),
    value=st.binary(max_size=30),
)
def test_no_bytes_in_a_query_are_a_server_error(gateway, name, value):
    encoded = "".join(f"%{byte:02x}" for byte in value)
    response = gateway.client.get(
        f"{gateway.url}/v1/events?{name}={encoded}", headers={"authorization": f"Bearer {TOKEN}"}
    )
    assert response.status_code in (200, 400)


@pytest.mark.parametrize("event_id", ["evt_0", "%00", "..%2f", "%FF", "x" * 1000, "'--"])
def test_an_event_that_there_is_not_is_a_404(gateway, event_id):
    response = gateway.client.get(
        f"{gateway.url}/v1/events/{event_id}", headers={"authorization": f"Bearer {TOKEN}"}
    )
    assert problem_of(response)["status"] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", PATHS)
def test_a_method_that_is_not_there_is_a_405(gateway, method, path):
    response = gateway.client.request(
        method, f"{gateway.url}{path}", headers={"authorization": f"Bearer {TOKEN}"}
    )
    assert problem_of(response)["status"] == 405


def test_an_event_is_shown_with_its_deliveries_and_their_attempts(gateway, destination):
    destination.status = 410
    event_id = gateway.post(b'{"type": "wanted"}', message_id=fresh_id()).json()["event_id"]
    shown = eventually(lambda: _if_over(gateway.admin(f"/v1/events/{event_id}").json()))
    destination.status = 200
    (delivery,) = shown["deliveries"]
    assert shown["state"] == delivery["state"] == "dead"
    assert (delivery["attempts"], delivery["last_status"], delivery["last_error"]) == (1, 410, "answered 410")
    (attempt,) = delivery["history"]
    assert (attempt["number"], attempt["outcome"], attempt["status"]) == (1, "client_error", 410)
    summary = gateway.admin("/v1/events", state="dead").json()["items"][0]
    del delivery["history"]
    assert summary == {key: shown[key] for key in summary}


def _if_over(shown):
    return shown if shown["state"] != "pending" else None


async def test_a_store_that_is_closed_is_a_503_with_a_time_to_come_again(tmp_path):
    with gateway_without_server(tmp_path) as (client, store):
        await store.close()
        for path in PATHS:
            response = await client.get(path, headers={"authorization": f"Bearer {TOKEN}"})
            assert problem_of(response)["status"] == 503
            assert int(response.headers["retry-after"]) > 0
        await client.aclose()
