"""/v1: who may ask, and that lists are whole."""

import base64
import hashlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gateway.clock import SystemClock
from tests.support.clock import ManualClock
from tests.support.gateway_app import (
    KEY,
    SECRET,
    SOURCES,
    TOKEN,
    fresh_id,
    gateway_without_server,
    problem_of,
    recording_destination,
    running_gateway,
    signed,
)
from tests.support.waiting import eventually

CALLS = [
    ("GET", "/v1/events"),
    ("GET", "/v1/events/evt_1"),
    ("DELETE", "/v1/events/evt_1"),
    ("POST", "/v1/events/evt_1/replay"),
    ("POST", "/v1/events/evt_1/discard"),
    ("GET", "/v1/replays"),
    ("POST", "/v1/replays"),
    ("GET", "/v1/replays/rpl_1"),
    ("POST", "/v1/replays/rpl_1/cancel"),
    ("GET", "/v1/sources"),
    ("GET", "/v1/destinations"),
    ("POST", "/v1/destinations/app/pause"),
    ("POST", "/v1/destinations/app/resume"),
]
METHODS = {path: {method for method, other in CALLS if other == path} for _, path in CALLS}
BEARER = {"authorization": f"Bearer {TOKEN}"}


TWO = f"""{SOURCES}
[[destinations]]
name = "a"
url = "http://127.0.0.1:9/hook?key=made-up-key"
event_types = ["for.a", "for.both"]
bearer_token = "made-up-bearer"
headers = {{ x-key = "made-up-header" }}

[[destinations]]
name = "b"
url = "http://127.0.0.1:9"
event_types = ["for.both"]
"""


class Api:
    """The application with nothing dispatched: what a call changes stays as it is."""

    def __init__(self, client, store):
        self.client = client
        self.store = store

    async def ask(self, method, path, content=None, *, status=200, **parameters):
        response = await self.client.request(method, path, json=content, params=parameters, headers=BEARER)
        assert response.status_code == status, response.text
        if status >= 400:
            return problem_of(response)["detail"]
        return response.json() if response.content else None

    async def get(self, path, **parameters):
        return await self.ask("GET", path, **parameters)

    async def post(self, path, content=None, **more):
        return await self.ask("POST", path, content, **more)

    async def accept(self, kind="for.a", key="k"):
        body = json.dumps({"type": kind, "data": {"jobId": key}}).encode()
        response = await self.client.post("/webhooks/producer", content=body, headers=signed(body))
        return response.json()["event_id"]

    async def states(self, event_id):
        deliveries = (await self.get(f"/v1/events/{event_id}"))["deliveries"]
        return {delivery["destination"]: delivery["state"] for delivery in deliveries}

    async def metric(self, name, **labels):
        text = (await self.client.get("/metrics")).text
        return next(
            (
                sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
                if sample.name == name and labels.items() <= sample.labels.items()
            ),
            0,
        )


@pytest.fixture
async def api(tmp_path):
    with gateway_without_server(tmp_path, TWO) as (client, store):
        yield Api(client, store)
        await client.aclose()
        await store.close()


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


def test_without_a_configured_token_nobody_may_ask_not_even_from_loopback(tmp_path):
    text = SOURCES.replace(f'admin_token = "{TOKEN}"', "")
    with running_gateway(tmp_path, text) as gateway:
        for method, path in CALLS:
            for headers in ({}, {"authorization": "Bearer"}, {"authorization": "Bearer None"}):
                response = gateway.client.request(method, f"{gateway.url}{path}", headers=headers)
                assert problem_of(response)["status"] == 403


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer \xe9", f"Bearer {TOKEN} {TOKEN}"],
)  # fmt: skip
def test_without_the_right_token_the_answer_is_401_and_says_how(gateway, method, path, authorization):
    """Also for what is not there: who may not ask learns nothing of that."""
    headers = {} if authorization is None else {"authorization": authorization.encode("latin-1")}
    response = gateway.client.request(method, f"{gateway.url}{path}", headers=headers)
    problem_of(response)
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert TOKEN not in response.text


def test_who_asks_without_the_right_token_is_said_and_counted(tmp_path, caplog):
    wrong = [f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer"]
    with running_gateway(tmp_path) as gateway:
        for given in (None, "", *wrong):
            headers = {} if given is None else {"authorization": given}
            gateway.client.get(f"{gateway.url}/v1/events", headers=headers)
        gateway.admin("/v1/events")
        counted = {
            reason: gateway.count("gateway_admin_refused_total", reason=reason)
            for reason in ("missing", "wrong")
        }
    lines = [one for one in caplog.records if one.getMessage() == "admin.refused"]
    reasons = ["missing"] * 2 + ["wrong"] * len(wrong)
    assert [one.fields for one in lines] == [{"reason": one, "sender": "127.0.0.1"} for one in reasons]
    assert {one.levelname for one in lines} == {"WARNING"}
    assert counted == {"missing": 2, "wrong": len(wrong)}


def test_of_a_flood_without_the_token_ten_lines_a_second_are_written_and_all_is_counted(tmp_path, caplog):
    with running_gateway(tmp_path, clock=ManualClock()) as gateway:
        for _ in range(15):
            gateway.client.get(f"{gateway.url}/v1/events")
        assert gateway.count("gateway_admin_refused_total", reason="missing") == 15
    assert [one.getMessage() for one in caplog.records].count("admin.refused") == 10


def test_who_asks_by_a_trusted_proxy_is_named_by_what_it_says(tmp_path, caplog):
    text = SOURCES.replace("[server]", '[server]\ntrusted_proxies = ["127.0.0.1"]')
    with running_gateway(tmp_path, text) as gateway:
        by_proxy = {"x-forwarded-for": "203.0.113.7"}
        gateway.client.get(f"{gateway.url}/v1/events", headers=by_proxy)
        gateway.client.post(f"{gateway.url}/nothing", headers=by_proxy)
    said = {one.getMessage(): one.fields.get("sender") for one in caplog.records if hasattr(one, "fields")}
    assert (said["admin.refused"], said["path.unknown"]) == ("203.0.113.7", "203.0.113.7")


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


@pytest.mark.parametrize("path", METHODS)
def test_a_method_that_is_not_there_is_a_405_that_names_those_there_are(gateway, path):
    for method in {"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"} - METHODS[path]:
        response = gateway.client.request(method, f"{gateway.url}{path}", headers=BEARER)
        assert response.status_code == 405
        assert response.headers["content-type"] == "application/problem+json"
        assert set(response.headers["allow"].split(", ")) == METHODS[path]


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
    with gateway_without_server(tmp_path, TWO) as (client, store):
        await store.close()
        for method, path in CALLS:
            if path == "/v1/sources":  # from the configuration alone
                continue
            content = {"json": {}} if (method, path) == ("POST", "/v1/replays") else {}
            response = await client.request(method, path.replace("app", "a"), headers=BEARER, **content)
            assert problem_of(response)["status"] == 503
            assert int(response.headers["retry-after"]) > 0
        await client.aclose()


# One event


async def test_what_is_dead_is_replayed_and_what_was_delivered_is_not(api):
    event_id = await api.accept("for.both")
    await api.post(f"/v1/events/{event_id}/discard")
    await api.post(f"/v1/events/{event_id}/replay", {"destinations": ["b"]}, status=202)
    assert await api.states(event_id) == {"a": "dead", "b": "pending"}
    shown = await api.post(f"/v1/events/{event_id}/replay", status=202)
    assert (shown["id"], shown["state"], shown["queued"]) == (event_id, "pending", ["a"])
    assert await api.states(event_id) == {"a": "pending", "b": "pending"}
    assert (await api.post(f"/v1/events/{event_id}/replay", status=202))["queued"] == []


async def test_an_event_that_nobody_wanted_goes_to_whoever_is_named(api):
    event_id = await api.accept("for.nobody")
    assert "No destination wants" in await api.post(f"/v1/events/{event_id}/replay", status=409)
    assert (await api.get(f"/v1/events/{event_id}"))["state"] == "unrouted"
    await api.post(f"/v1/events/{event_id}/replay", {"destinations": ["b", "b"]}, status=202)
    assert await api.states(event_id) == {"b": "pending"}
    assert (await api.get("/v1/events", state="unrouted"))["items"] == []


@pytest.mark.parametrize("content", [None, {}, {"destinations": None}, {"destinations": ["a"]}])
async def test_what_is_pending_stays_as_it_is(api, content):
    event_id = await api.accept()
    before = (await api.get(f"/v1/events/{event_id}"))["deliveries"]
    await api.post(f"/v1/events/{event_id}/replay", content, status=202)
    assert (await api.get(f"/v1/events/{event_id}"))["deliveries"] == before


async def test_an_unknown_destination_is_refused_with_the_names_that_there_are(api):
    event_id = await api.accept()
    for detail in (
        await api.post(f"/v1/events/{event_id}/replay", {"destinations": ["a", "\x1b[2J"]}, status=400),
        await api.post("/v1/replays", {"destination": "\x1b[2J"}, status=400),
    ):
        assert detail == "There is no destination '\\x1b[2J'; there are: a, b."


async def test_a_discarded_delivery_is_dead_counted_and_lets_the_next_of_its_key_go(api, caplog):
    caplog.set_level("INFO", logger="gateway")
    first, second = await api.accept(), await api.accept()
    waits = (await api.get(f"/v1/events/{second}"))["deliveries"][0]
    assert waits["next_attempt_at"] is None
    shown = await api.post(f"/v1/events/{first}/discard")
    (delivery,) = shown["deliveries"]
    assert (shown["state"], delivery["state"], delivery["dead_reason"]) == ("dead", "dead", "discarded")
    assert (await api.get(f"/v1/events/{second}"))["deliveries"][0]["next_attempt_at"] is not None
    assert await api.post(f"/v1/events/{first}/discard") == shown
    assert await api.metric("gateway_deliveries_dead_total", destination="a", reason="discarded") == 1
    lines = [record.fields for record in caplog.records if record.getMessage() == "delivery.dead"]
    assert lines == [{"event_id": first, "destination": "a", "reason": "discarded"}]


async def test_an_erased_event_is_shown_without_its_content_and_cannot_be_sent(api):
    event_id = await api.accept()
    before = await api.get(f"/v1/events/{event_id}")
    body = base64.b64decode(before["body_base64"])
    assert (before["erased_at"], before["body_sha256"]) == (None, hashlib.sha256(body).hexdigest())
    for _ in range(2):
        await api.ask("DELETE", f"/v1/events/{event_id}", status=204)
    after = await api.get(f"/v1/events/{event_id}")
    assert (after["body_base64"], after["headers"], after["query"], after["state"]) == (
        None,
        None,
        None,
        "dead",
    )
    assert after["erased_at"] > 0
    for kept in ("id", "source", "type", "dedupe_key", "ordering_key", "received_at", "body_sha256"):
        assert after[kept] == before[kept]
    for content in (None, {"destinations": ["a"]}):
        assert "erased" in await api.post(f"/v1/events/{event_id}/replay", content, status=409)
    assert (await api.get("/v1/events"))["items"][0]["erased_at"] == after["erased_at"]
    assert await api.metric("gateway_deliveries_dead_total", destination="a", reason="discarded") == 1


def test_a_replayed_event_is_sent_at_once_under_the_same_id(gateway, destination):
    destination.status = 410
    event_id = gateway.post(b'{"type": "wanted"}').json()["event_id"]
    eventually(lambda: _if_over(gateway.event(event_id)))
    destination.status = 200
    assert gateway.admin_post(f"/v1/events/{event_id}/replay").status_code == 202
    assert eventually(lambda: _if_over(gateway.event(event_id)), seconds=0.4)["state"] == "delivered"
    sent = [one for one in destination.received if one.values("x-gateway-event-id") == [event_id]]
    assert [one.values("webhook-id") for one in sent] == [[event_id]] * 2
    assert [one.values("x-gateway-attempt") for one in sent] == [["1"], ["2"]]


def test_a_discarded_event_frees_its_key_at_once(gateway, destination):
    destination.status = 500
    first = gateway.post(b'{"type": "wanted", "data": {"jobId": "stuck"}}').json()["event_id"]
    eventually(lambda: gateway.event(first)["deliveries"][0]["attempts"])
    second = gateway.post(b'{"type": "wanted", "data": {"jobId": "stuck"}}').json()["event_id"]
    destination.status = 200
    gateway.admin_post(f"/v1/events/{first}/discard")
    assert eventually(lambda: _if_over(gateway.event(second)), seconds=0.4)["state"] == "delivered"


# Replays of many


async def test_a_replay_is_shown_as_it_was_asked_for(api):
    event_id = await api.accept()
    await api.post(f"/v1/events/{event_id}/discard")
    filters = {"source": "producer", "destination": "a", "state": "dead", "type": "for.a", "key": "k", "since": 0, "until": 2**62}  # fmt: skip
    begun = await api.post("/v1/replays", {**filters, "rate_per_second": 2.5}, status=202)
    assert begun == {
        "id": begun["id"], "state": "running", "matched": 1, "queued": 0, "done": 0, "failed": 0,
        "created_at": begun["created_at"], "filters": filters, "rate_per_second": 2.5,
    }  # fmt: skip
    assert await api.get(f"/v1/replays/{begun['id']}") == begun
    assert await api.get("/v1/replays") == {"items": [begun], "next_cursor": None}
    cancelled = await api.post(f"/v1/replays/{begun['id']}/cancel")
    assert cancelled == {**begun, "state": "cancelled"}
    assert await api.post(f"/v1/replays/{begun['id']}/cancel") == cancelled


async def test_a_dry_run_counts_and_stores_nothing(api):
    for kind in ("for.a", "for.a", "for.nobody"):
        await api.post(f"/v1/events/{await api.accept(kind)}/discard")
    for filters, matched in (({}, 3), ({"state": "dead"}, 2), ({"type": "for.nobody"}, 1), ({"key": "x"}, 0)):
        answer = await api.post("/v1/replays", {**filters, "dry_run": True})
        assert (answer["dry_run"], answer["matched"]) == (True, matched)
    assert (await api.get("/v1/replays"))["items"] == []


async def test_a_replay_that_matches_nothing_is_done(api):
    begun = await api.post("/v1/replays", {"type": "nothing"}, status=202)
    assert (begun["state"], begun["matched"]) == ("done", 0)


async def test_the_pages_of_the_replays_have_each_once_newest_first(api):
    ids = [(await api.post("/v1/replays", {}, status=202))["id"] for _ in range(5)]
    seen, cursor = [], {}
    while True:
        page = await api.get("/v1/replays", limit=2, **cursor)
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert sorted(seen) == sorted(ids)
    assert seen == sorted(seen, reverse=True)


async def test_what_is_pending_cannot_be_asked_for(api):
    assert "on their way" in await api.post("/v1/replays", {"state": "pending"}, status=400)


@pytest.mark.parametrize("path", ["/v1/replays/rpl_0", "/v1/replays/rpl_0/cancel", "/v1/replays/%00"])
async def test_a_replay_that_there_is_not_is_a_404(api, path):
    await api.ask("POST" if path.endswith("cancel") else "GET", path, status=404)


def test_a_replay_is_delivered_behind_live_events(tmp_path, destination):
    text = f"""{SOURCES}
    [[destinations]]
    name = "app"
    url = "{destination.url}"
    allow_private_address = true
    max_in_flight = 2
    rate_per_second = 200
    """
    with running_gateway(tmp_path, text) as gateway:
        gateway.admin_post("/v1/destinations/app/pause")
        old = [gateway.post(b'{"type": "old"}').json()["event_id"] for _ in range(300)]
        for event_id in old:
            gateway.admin_post(f"/v1/events/{event_id}/discard")
        gateway.admin_post("/v1/destinations/app/resume")
        begun = gateway.admin_post("/v1/replays", {"state": "dead"}).json()
        eventually(lambda: gateway.admin(f"/v1/replays/{begun['id']}").json()["done"])
        live = gateway.post(b'{"type": "live"}').json()["event_id"]
        eventually(lambda: _if_over(gateway.event(live)))
        assert gateway.admin(f"/v1/replays/{begun['id']}").json()["state"] == "running"
        over = eventually(lambda: _if_done(gateway.admin(f"/v1/replays/{begun['id']}").json()))
        assert (over["done"], over["failed"]) == (300, 0)
        received = [one.values("webhook-id")[0] for one in destination.received]
        assert sorted(one for one in received if one in set(old)) == sorted(old)
        assert gateway.admin("/v1/events", state="dead").json()["items"] == []


def _if_done(replay):
    return replay if replay["state"] == "done" else None


# Bodies


@pytest.mark.parametrize(
    ("path", "body", "complaint"),
    [
        ("replays", b"", "{} is every event"), ("replays", b"{", "not JSON"), ("replays", b"\xff", "not JSON"), ("replays", b"[]", "JSON object"),
        ("replays", b"null", "JSON object"), ("replays", b'{"sauce": 1}', "there are destination, dry_run, key"), ("replays", b"[" * 60_000, "not JSON"),
        ("replays", b'{"state": "dead", "state": "dead"}', "stands twice"), ("replays", b'{"since": NaN}', "not JSON"), ("replays", b'{"type": "\\ud800"}', "type"),
        ("replays", b'{"since": "1"}', "since"), ("replays", b'{"since": true}', "since"), ("replays", b'{"since": -1}', "since"), ("replays", b'{"since": 1.5}', "since"),
        ("replays", b'{"until": 9223372036854775808}', "until"), ("replays", b'{"until": 1' + b"0" * 5000 + b"}", "not JSON"), ("replays", b'{"source": 1}', "source"),
        ("replays", b'{"state": "lost"}', "state"), ("replays", b'{"state": ["dead"]}', "state"), ("replays", b'{"state": {}}', "state"), ("replays", b'{"dry_run": 1}', "dry_run"),
        ("replays", b'{"rate_per_second": true}', "rate_per_second"), ("replays", b'{"rate_per_second": -1}', "rate_per_second"), ("replays", b'{"rate_per_second": 1e999}', "rate_per_second"),
        ("replays", b'{"rate_per_second": "1"}', "rate_per_second"), ("replays", b'{"key": "' + b"x" * 513 + b'"}', "key"),
        ("replay", b'{"destination": "a"}', "there are destinations"), ("replay", b'{"destinations": []}', "destinations"), ("replay", b'{"destinations": "a"}', "destinations"),
        ("replay", b'{"destinations": [1]}', "destinations"), ("replay", b'{"destinations": ["\\ud800"]}', "destinations"), ("replay", b"{}{}", "not JSON"),
    ],
)  # fmt: skip
async def test_a_body_of_the_wrong_form_is_a_400_that_says_what_is_wrong(api, path, body, complaint):
    path = "/v1/replays" if path == "replays" else f"/v1/events/{await api.accept()}/replay"
    response = await api.client.post(path, content=body, headers=BEARER)
    assert problem_of(response)["status"] == 400
    assert complaint in problem_of(response)["detail"]
    assert (await api.get("/v1/replays"))["items"] == []


async def test_a_body_is_taken_whatever_its_content_type_says(api):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"):
        headers = {**BEARER, "content-type": kind}
        response = await api.client.post("/v1/replays", content=b'{"dry_run": true}', headers=headers)
        assert response.status_code == 200


def test_a_body_that_is_too_long_is_a_413_however_it_is_sent(gateway):
    long = b'{"key": "' + b" " * 65_536 + b'"}'
    for content in (long, iter([long])):
        response = gateway.client.post(f"{gateway.url}/v1/replays", content=content, headers=BEARER)
        assert problem_of(response)["status"] == 413


# Sources and destinations


async def test_sources_are_listed_with_their_path_and_no_secret(api):
    assert await api.get("/v1/sources") == {
        "items": [{"name": "producer", "path": "/webhooks/producer", "verified": True}],
        "next_cursor": None,
    }


async def test_destinations_are_listed_with_what_they_hold_and_no_credentials(api):
    dead = await api.accept()
    await api.post(f"/v1/events/{dead}/discard")
    await api.accept()
    first, second = (await api.get("/v1/destinations"))["items"]
    age = first.pop("oldest_pending_age_seconds")
    assert 0 <= age < 60
    assert first == {
        "name": "a", "url": "http://127.0.0.1:9/hook", "state": "running", "paused_at": None, "held_at": None,
        "quiet_until": None, "next_probe_at": None, "last_error": None, "last_error_at": None,
        "pending": 1, "delivered": 0, "dead": 1,
    }  # fmt: skip
    assert (second["name"], second["pending"], second["oldest_pending_age_seconds"]) == ("b", 0, None)


async def test_a_hold_and_a_quiet_time_are_shown_and_resume_ends_them(api, caplog):
    caplog.set_level("INFO", logger="gateway")
    far = 2**50
    await api.store.set_standing("a", "hold", now=5)
    await api.store.quiet("a", until=far, now=5)
    shown = (await api.get("/v1/destinations"))["items"][0]
    assert (shown["state"], shown["held_at"], shown["quiet_until"]) == ("held", 5, far)
    shown = await api.post("/v1/destinations/a/resume")
    assert (shown["state"], shown["held_at"], shown["quiet_until"]) == ("running", None, None)
    await api.post("/v1/destinations/a/resume")
    said = [record.getMessage() for record in caplog.records]
    assert (said.count("destination.resumed"), said.count("destination.released")) == (1, 1)


async def test_when_it_is_tried_next_is_shown_while_it_is_held_and_something_waits(api):
    async def next_probe_at():
        return (await api.get("/v1/destinations"))["items"][0]["next_probe_at"]

    await api.accept()
    assert await next_probe_at() is None, "it is not held"
    before = SystemClock().now_ms() - 1
    await api.store.set_standing("a", "hold", now=before)
    assert before <= await next_probe_at() <= before + 20_000, "nothing has tried it yet: at once"
    assert (await api.get("/v1/destinations"))["items"][1]["next_probe_at"] is None, "another is not held"
    await api.store.quiet("a", until=2**50, now=before)
    assert await next_probe_at() == 2**50, "not before the end of its quiet time"
    assert (await api.post("/v1/destinations/a/pause"))["next_probe_at"] is None
    assert (await api.post("/v1/destinations/a/resume"))["next_probe_at"] is None


async def test_a_held_destination_for_which_nothing_waits_is_not_said_to_be_tried(api):
    event_id = await api.accept()
    await api.store.set_standing("a", "hold", now=5)
    await api.post(f"/v1/events/{event_id}/discard")
    first = (await api.get("/v1/destinations"))["items"][0]
    assert (first["state"], first["pending"], first["next_probe_at"]) == ("held", 0, None)


def test_a_destination_that_is_down_says_why_without_what_it_was_sent_until_it_is_back(tmp_path):
    with recording_destination() as down:
        down.status, down.echoes = 503, True
        text = f"""{SOURCES}
        [[destinations]]
        name = "app"
        url = "{down.url}"
        bearer_token = "made-up-bearer"
        allow_private_address = true
        """
        with running_gateway(tmp_path, text) as gateway:

            def shown():
                return gateway.admin("/v1/destinations").json()["items"][0]

            ids = [gateway.post(b'{"type": "wanted"}').json()["event_id"] for _ in range(5)]
            held = eventually(lambda: (one := shown())["next_probe_at"] and one)
            assert held["state"] == "held"
            assert (
                held["last_error"] == gateway.event(ids[0])["deliveries"][0]["last_error"] == "answered 503"
            )
            assert held["last_error_at"] < held["next_probe_at"] <= held["last_error_at"] + 30_000
            down.status = 200
            back = eventually(lambda: (one := shown())["state"] == "running" and one)
            assert [back[name] for name in ("next_probe_at", "last_error", "last_error_at")] == [None] * 3


async def test_what_is_held_or_paused_since_before_a_start_is_said_by_it(tmp_path, caplog):
    caplog.set_level("INFO", logger="gateway")
    with gateway_without_server(tmp_path, TWO) as (client, store):
        await store.set_standing("a", "hold", now=5)
        await store.set_standing("b", "pause", now=7)
        await client.aclose()
        await store.close()
    with running_gateway(tmp_path, TWO):
        pass
    stand = ("destination.held", "destination.paused")
    before = {"detail": "since before this start"}
    assert [
        (one.getMessage(), one.levelname, one.fields) for one in caplog.records if one.getMessage() in stand
    ] == [
        ("destination.held", "ERROR", {"destination": "a", "held_at": 5, **before}),
        ("destination.paused", "WARNING", {"destination": "b", "paused_at": 7, **before}),
    ]


async def test_a_pause_is_shown_measured_and_said_once(api, caplog):
    caplog.set_level("INFO", logger="gateway")
    shown = await api.post("/v1/destinations/a/pause")
    assert (shown["state"], shown["paused_at"] > 0) == ("paused", True)
    assert await api.post("/v1/destinations/a/pause") == shown
    assert await api.metric("gateway_destination_paused", destination="a") == 1
    assert [record.getMessage() for record in caplog.records].count("destination.paused") == 1


async def test_a_destination_that_there_is_not_is_a_404_that_names_those_there_are(api):
    for verb in ("pause", "resume"):
        assert "there are: a, b" in await api.post(f"/v1/destinations/c/{verb}", status=404)


def test_a_paused_destination_gets_nothing_until_it_is_resumed_and_then_at_once(gateway, destination):
    gateway.admin_post("/v1/destinations/app/pause")
    waiting = [gateway.post(b'{"type": "wanted"}').json()["event_id"] for _ in range(3)]
    received = len(destination.received)
    assert gateway.admin("/v1/destinations").json()["items"][0]["pending"] == 3
    gateway.admin_post("/v1/destinations/app/resume")
    for event_id in waiting:
        assert eventually(lambda one=event_id: _if_over(gateway.event(one)), seconds=0.7)
    assert len(destination.received) == received + 3


async def test_no_answer_of_the_admin_api_holds_a_secret(api):
    event_id = await api.accept()
    for method, path in CALLS:
        there = path.replace("evt_1", event_id).replace("app", "a")
        response = await api.client.request(method, there, headers=BEARER)
        for secret in (TOKEN, SECRET, KEY.decode(), "made-up-key", "made-up-bearer", "made-up-header"):
            assert secret not in response.text
