"""The live gateway against openapi/gateway.yaml: whatever is sent, the answer is one that the contract has."""

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from requests.auth import AuthBase
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection

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


def schema(*modes):
    loaded = schemathesis.openapi.from_path("openapi/gateway.yaml")
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
        name = "app"
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
