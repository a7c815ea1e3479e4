"""The producers, each with the official package that says what its signature is."""

from collections.abc import Callable

import pytest

from tests.oracles import (
    message_signatures,
    npm_packages,
    public_keys,
    shared_secrets,
    signed_urls,
    standard_webhooks,
    tokens,
)
from tests.oracles.producer import Producer

PRODUCERS = (
    *standard_webhooks.PRODUCERS,
    *shared_secrets.PRODUCERS,
    *signed_urls.PRODUCERS,
    *public_keys.PRODUCERS,
    *tokens.PRODUCERS,
    *message_signatures.PRODUCERS,
    *npm_packages.PRODUCERS,
)
BY_NAME = {producer.name: producer for producer in PRODUCERS}


def each_producer(condition: Callable[[Producer], bool] = lambda _: True) -> pytest.MarkDecorator:
    """A test for each of those that it holds for, under its name."""
    those = [producer for producer in PRODUCERS if condition(producer)]
    return pytest.mark.parametrize("producer", those, ids=lambda producer: producer.name)
