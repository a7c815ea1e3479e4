"""The live gateway against openapi/gateway.yaml: whatever is sent, the answer is one that the contract has."""

import copy
from contextlib import suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import Flaky
from requests.auth import AuthBase
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, use_after_free

from openapi.document import operations
from tests.support.contract import OURS, secrets_are_never_told, without_other_refusals
from tests.support.gateway_app import (
    KEY,
    SECRET,
    SOURCES,
    TOKEN,
    Running,
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
A_WALK = settings(FAST, max_examples=5, stateful_step_count=10, phases=[Phase.generate], database=None)
MOST_WALKS = 40
SECRETS = (SECRET, KEY.decode(), TOKEN)


DOCUMENT = without_other_refusals("gateway")
DOCUMENT["components"]["schemas"]["DestinationName"]["enum"] = ["convex"]
HANDSHAKES = {method: DOCUMENT["paths"]["/webhooks/{source}"].pop(method) for method in ("get", "options")}
"""What only a configuration can say: which destinations there are, and that most sources have no handshake."""
KNOWN = {"source": "producer"}


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


CHECKS = [secrets_are_never_told(*SECRETS), *OURS]
MISLED = [ignored_auth, negative_data_rejection]
"""These take credentials that are added here for a part of what they made wrong on purpose."""


def validate(case, gateway, phases, **options):
    phases.note(case)
    case.call_and_validate(base_url=gateway.url, additional_checks=CHECKS, **options)


@unsigned.parametrize()
@FAST
def test_whatever_is_sent_without_credentials_has_a_documented_answer(case, gateway, phases):
    validate(case, gateway, phases)


@signed_webhooks.parametrize()
@FAST
def test_every_webhook_that_the_contract_allows_is_stored_when_it_is_signed(case, gateway, phases):
    phases.note(case)
    case.path_parameters |= KNOWN
    response = case.call(base_url=gateway.url, auth=Signed())
    case.validate_response(response, additional_checks=CHECKS, excluded_checks=MISLED)
    assert response.status_code == 200


@admin.parametrize()
@FAST
def test_whatever_the_admin_asks_has_a_documented_answer(case, gateway, phases):
    headers = {"authorization": f"Bearer {TOKEN}"}
    validate(case, gateway, phases, headers=headers, excluded_checks=MISLED)


def linked():
    """What follows links, without the filters of the list of events: most that are made up leave nothing to follow."""
    document = copy.deepcopy(DOCUMENT)
    listed = document["paths"]["/v1/events"]["get"]
    listed["parameters"] = [one for one in listed["parameters"] if one.get("name") in ("limit", "cursor")]
    loaded = schemathesis.openapi.from_dict(document).include(path_regex="^/v1/")
    loaded.config.generation.update(modes=[GenerationMode.POSITIVE])
    return loaded


class Walk(linked().as_state_machine()):
    """Goes from answer to answer by their links: from the list to an event, its replay, its erasure; from a replay to its end."""

    gateway: Running
    succeeded: set[str]
    failures: list[FailureGroup]

    def get_call_kwargs(self, case):  # noqa: ARG002 (Schemathesis's signature)
        return {"base_url": self.gateway.url, "headers": {"authorization": f"Bearer {TOKEN}"}}

    def after_call(self, response, case):
        super().after_call(response, case)
        if response.status_code < 300:
            self.succeeded.add(case.operation.definition.raw["operationId"])
        if response.status_code == 204:  # the newest event was erased: another is there to be sent again
            self.gateway.post(b'{"type": "t"}')

    def validate_response(self, response, case, **_):
        try:
            case.validate_response(
                response,
                additional_checks=CHECKS,
                excluded_checks=[*MISLED, use_after_free],  # an erased event is still shown
                recorder=self.recorder,
            )
        except FailureGroup as failures:
            self.failures.append(failures)
            raise


def test_whatever_follows_from_an_answer_has_a_documented_answer_too_and_each_link_leads_to_success(gateway):
    linked = {
        link["operationId"]
        for operation in operations(DOCUMENT)
        for response in operation.responses.values()
        for link in response.get("links", {}).values()
    }
    Walk.gateway, Walk.succeeded, Walk.failures = gateway, set(), []
    for number in range(MOST_WALKS):
        gateway.post(b'{"type": "t"}')
        with suppress(Flaky):  # a store remembers: the same steps do not lead to the same answers
            seed(number)(Walk).run(settings=A_WALK)  # else the same steps each time where CI is set
        if linked <= Walk.succeeded:
            break
    assert Walk.failures == []
    assert linked - Walk.succeeded == set()


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
