"""A real Prometheus watches both services as it does in production, and says so when something is wrong with them."""

import re
from contextlib import contextmanager

import pytest
import yaml

from tests.support.gateway_scene import scene
from tests.support.noting_destination import OK, Reply
from tests.support.process import Service
from tests.support.producers import Webhook
from tests.support.prometheus import prometheus
from tests.support.queries import DEPLOY, dashboard_queries
from tests.support.waiting import eventually

pytestmark = pytest.mark.system

FASTER = 60
"""A minute of the rules is a second here. Nothing else of them is changed."""
SECONDS = {"m": 60, "h": 3600, "d": 86_400}
OF_THE_MACHINE = {
    "GatewayEventLoopLag",
    "GatewayCommitsSlow",
    "GatewayDiskLow",
    "TranscriberEventLoopLag",
    "TranscriberDiskLow",
}
"""They may rightly fire on a slow or full machine."""
NOTHING_TO_SHOW = {
    "gateway: Secrets and schemes that are only tried",
    "gateway: Held and paused",
    "transcriber: Requests refused, by code",
    "transcriber: Time of an attempt",
    "transcriber: Seconds for a second of audio",
    "transcriber: Errors by code",
}
"""Panels that are empty where nothing of the kind has happened."""


def sooner(rules):
    """Durations, ranges, and the ages that something may reach; not the promise's 60 s."""

    def shorter(found):
        return f"{found[1]}{int(found[2]) * SECONDS[found[3]] // FASTER}s"

    text = re.sub(r"(for: |\[|offset )(\d+)([mhd])\b", shorter, rules)
    return re.sub(r"(_age_seconds\S* > )(\d+)", lambda found: f"{found[1]}{int(found[2]) // FASTER}", text)


def configured(folder, **addresses):
    """The configuration of deploy/prometheus, for services at these addresses."""
    (folder / "rules").mkdir(parents=True)
    for path in (DEPLOY / "prometheus/rules").glob("*.yml"):
        (folder / "rules" / path.name).write_text(sooner(path.read_text("utf-8")), "utf-8")
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text("utf-8"))
    config["global"] = dict.fromkeys(config["global"], "1s")
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [addresses[job["job_name"]]]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
    return folder / "prometheus.yml"


@contextmanager
def transcriber(folder):
    environment = {
        "TRANSCRIBER_HOST": "127.0.0.1",
        "TRANSCRIBER_PORT": "0",
        "TRANSCRIBER_DATA_DIR": str(folder),
        "TRANSCRIBER_WEBHOOK_URL": "http://127.0.0.1:9/",
        "TRANSCRIBER_WEBHOOK_SECRET": "whsec_bWFkZSB1cCBzZWNyZXQgb2YgdGVzdHM=",
        "GROQ_API_KEY": "made-up",
    }
    service = Service(["transcriber", "serve"], environment)
    try:
        yield service.url.removeprefix("http://")
    finally:
        service.close()


class Watch:
    """What fires. Whatever is not expected fails the test at once."""

    def __init__(self, watching):
        self._prometheus = watching
        self._expected = {"GatewayNoData", "TranscriberNoData"}  # before the first scrape

    def until(self, *expected, seconds=40):
        """Only these fire; those that did before may end later."""
        allowed, self._expected = self._expected | set(expected), set(expected)

        def so():
            fires = self._prometheus.firing() - OF_THE_MACHINE
            assert fires <= allowed
            return fires == self._expected

        eventually(so, seconds=seconds, pause_seconds=0.1)


def test_the_right_alert_fires_and_no_other_and_ends_when_it_is_over(tmp_path):
    with scene(tmp_path / "gateway") as here, transcriber(tmp_path / "transcriber") as of_transcriber:
        here.gateway.start()
        addresses = {"gateway": f"127.0.0.1:{here.gateway.port}", "transcriber": of_transcriber}
        config = configured(tmp_path / "prometheus", **addresses)
        with prometheus(tmp_path / "prometheus", config) as watching:
            eventually(lambda: watching.targets() == {"gateway": "up", "transcriber": "up"})
            watch = Watch(watching)
            here.send(5)
            here.settle()
            watch.until()

            a_destination_goes_down(here)
            watch.until("GatewayDestinationHeld", "GatewayOldestPending")
            assert {one["labels"].get("destination") for one in watching.alerts()} - {None} == {"first"}
            here.destinations.behave = lambda _: OK
            watch.until()

            a_producer_has_the_wrong_secret(here)
            watch.until("GatewaySignaturesRefused")
            every_panel_of_the_dashboards_shows_something(watching)

            here.gateway.kill()
            watch.until("GatewayNoData")
            here.gateway.start()
            watch.until()


def a_destination_goes_down(here):
    here.destinations.behave = lambda attempt: Reply(status=503 if attempt.destination == "first" else 200)
    here.send(12, name="down", ordered=False)


def a_producer_has_the_wrong_secret(here):
    """Another has the right one."""
    here.send(3, name="right")
    for n in range(12):
        refused = here.post(
            Webhook(f"wrong-{n}", "thing.made", None, n), key=b"another key of thirty-two bytes."
        )
        assert refused.status == 401


def every_panel_of_the_dashboards_shows_something(watching):
    empty = {query.place for query in dashboard_queries() if not watching.query(query.text)}
    assert empty <= NOTHING_TO_SHOW
