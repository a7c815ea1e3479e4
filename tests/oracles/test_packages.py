"""What is tested here: the packages that the lock says, and every preset of the kinds that have an oracle for all."""

from importlib.metadata import version

from gateway.verify import PRESETS
from tests.oracles.producers import PRODUCERS
from tests.support.locks import pins


def test_what_is_installed_is_what_the_oracles_lock_says():
    assert {name: version(name) for name in pins("oracles")} == pins("oracles")


def test_every_preset_of_standard_webhooks_and_every_one_with_a_public_key_has_an_oracle():
    wanted = {name for name, preset in PRESETS.items() if preset.verify["kind"] in ("standard", "asymmetric")}
    assert wanted - {producer.scheme for producer in PRODUCERS if isinstance(producer.scheme, str)} == set()
