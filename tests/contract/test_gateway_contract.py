"""The live gateway against openapi/gateway.yaml: whatever is sent, the answer is one that the contract has."""

import copy
from pathlib import Path

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, settings
from requests.auth import AuthBase
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, use_after_free

from tests.support.gateway_app import (
    KEY,
    SECRET,
    SOURCES,
    TOKEN,
    recording_destination,
    running_gateway,
    signed,
)

FAST = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[
        HealthCheck.filter_too_much,
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
    ],
)
SECRETS = (SECRET, KEY.decode(), TOKEN)


DOCUMENT = yaml.safe_load(Path("openapi/gateway.yaml").read_text("utf-8"))
DOCUMENT["components"]["schemas"]["DestinationName"]["enum"] = ["convex"]
"""What only a configuration can say."""


def schema(*modes):
    loaded = schemathesis.openapi.from_dict(copy.deepcopy(DOCUMENT))
    loaded.config.generation.update(modes=list(modes))
    return loaded


unsigned = schema(GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
signed_webhooks = schema(GenerationMode.POSITIVE).include(path_regex="^/webhooks/")
admin = schema(GenerationMode.POSITIVE, GenerationMode.NEGATIVE).include(path_regex="^/v1/")


class Signed(AuthBase):
    """Signs what is about to be sent, byte for byte."""

    def __call__(self, request):
        body = request.body or b""
        request.headers.update(signed(body.encode() if isinstance(body, str) else body))
        return request


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with recording_destination() as destination:
        text = f"""{SOURCES}
        [[sources]]
        name = "transcriber"
        preset = "standard-webhooks"
        secrets = ["{SECRET}"]

        [[destinations]]
        name = "convex"
        url = "{destination.url}"
        allow_private_address = true
        """
        with running_gateway(tmp_path_factory.mktemp("gateway"), text) as running:
            for number in range(3):
                running.post(b'{"type": "t", "data": {"jobId": "%d"}}' % number)
            yield running


def no_secrets(_context, response, _case):
    for secret in SECRETS:
        assert secret.encode() not in response.content


def refusals_are_problems(_context, response, _case):
    if response.status_code < 400:
        return
    assert response.headers["content-type"] == ["application/problem+json"]
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["detail"]


OURS = [no_secrets, refusals_are_problems]
MISLED = [ignored_auth, negative_data_rejection]
"""These take credentials that are added here for a part of what they made wrong on purpose."""


def validate(case, gateway, **options):
    case.call_and_validate(base_url=gateway.url, additional_checks=OURS, **options)


@unsigned.parametrize()
@FAST
def test_whatever_is_sent_without_credentials_has_a_documented_answer(case, gateway):
    validate(case, gateway)


@signed_webhooks.parametrize()
@FAST
def test_every_webhook_that_the_contract_allows_is_stored_when_it_is_signed(case, gateway):
    case.path_parameters["source"] = "producer"
    response = case.call(base_url=gateway.url, auth=Signed())
    case.validate_response(response, additional_checks=OURS, excluded_checks=MISLED)
    assert response.status_code == 200


@admin.parametrize()
@FAST
def test_whatever_the_admin_asks_has_a_documented_answer(case, gateway):
    headers = {"authorization": f"Bearer {TOKEN}"}
    validate(case, gateway, headers=headers, excluded_checks=MISLED)


def test_whatever_follows_from_an_answer_has_a_documented_answer_too(gateway):
    """Along the links of the contract: from the list to an event, its replay, its erasure; from a replay to its end."""

    class Walk(schema(GenerationMode.POSITIVE).include(path_regex="^/v1/").as_state_machine()):
        def get_call_kwargs(self, case):  # noqa: ARG002
            return {"base_url": gateway.url, "headers": {"authorization": f"Bearer {TOKEN}"}}

        def validate_response(self, response, case, **_):
            case.validate_response(
                response,
                additional_checks=OURS,
                excluded_checks=[*MISLED, use_after_free],  # an erased event is still shown
                recorder=self.recorder,
            )

    gateway.post(b'{"type": "t"}')
    Walk.run(settings=settings(FAST, max_examples=40, stateful_step_count=6))


def test_every_success_that_the_contract_has_for_the_admin_is_one_of_the_gateway(gateway):
    event_id = gateway.post(b'{"type": "t"}').json()["event_id"]
    event = {"id": event_id}
    replay = {"id": gateway.admin_post("/v1/replays", {"type": "t"}).json()["id"]}
    convex = {"name": "convex"}
    calls = [
        ("GET", "/v1/events", {}, None),
        ("GET", "/v1/events/{id}", event, None),
        ("POST", "/v1/events/{id}/discard", event, None),
        ("POST", "/v1/events/{id}/replay", event, {"destinations": ["convex"]}),
        ("DELETE", "/v1/events/{id}", event, None),
        ("GET", "/v1/events/{id}", event, None),
        ("POST", "/v1/replays", {}, {"state": "dead"}),
        ("POST", "/v1/replays", {}, {"dry_run": True}),
        ("GET", "/v1/replays", {}, None),
        ("GET", "/v1/replays/{id}", replay, None),
        ("POST", "/v1/replays/{id}/cancel", replay, None),
        ("GET", "/v1/sources", {}, None),
        ("GET", "/v1/destinations", {}, None),
        ("POST", "/v1/destinations/{name}/pause", convex, None),
        ("POST", "/v1/destinations/{name}/resume", convex, None),
    ]
    seen = set()
    for method, path, values, content in calls:
        response = gateway.client.request(
            method,
            gateway.url + path.format(**values),
            json=content,
            headers={"authorization": f"Bearer {TOKEN}"},
        )
        admin[path][method].validate_response(response)
        seen.add((path, method.lower(), str(response.status_code)))
    assert seen == {
        (path, method, status)
        for path, item in DOCUMENT["paths"].items()
        if path.startswith("/v1/")
        for method, operation in item.items()
        if method != "parameters"
        for status in operation["responses"]
        if status.startswith("2")
    }
