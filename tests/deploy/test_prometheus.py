"""The alert rules and dashboards ask for metrics that exist, and every alert has its paragraph in docs/operations.md."""

import re
import shlex
from pathlib import Path

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from gateway.cli import main
from tests.support import exposed_metrics
from tests.support.queries import (
    DEPLOY,
    Query,
    alerts,
    alternatives,
    dashboard_queries,
    dashboards,
    grouping,
    rule_queries,
    rules,
    selectors,
)

ROOT = Path(__file__).parents[2]
ALERTS = (ROOT / "docs/operations.md").read_text("utf-8").partition("\n## Alerts\n")[2].partition("\n## ")[0]
OF_PROMETHEUS = {"job", "instance"}
CHOSEN = {"source", "destination", "engine", "webhook", "secret", "code", "version", "tried"}
"""Labels whose values are the configuration's, or too many to know."""
QUERIES = [*rule_queries(), *dashboard_queries()]


def ids(query: Query) -> str:
    return query.place


@pytest.fixture(scope="module")
def exposed(tmp_path_factory) -> dict[str, dict[str, set[str]]]:
    """Sample → label → its values."""
    found = {"up": {}, "ALERTS": {"alertstate": {"pending", "firing"}}} | {
        rule["record"]: {} for rule in rules() if "record" in rule
    }
    for text in (exposed_metrics.of_gateway(tmp_path_factory.mktemp("x")), exposed_metrics.of_transcriber()):
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = found.setdefault(sample.name, {})
                for label, value in sample.labels.items():
                    labels.setdefault(label, set()).add(value)
    return found


@pytest.mark.parametrize("query", QUERIES, ids=ids)
def test_every_metric_of_a_query_exists_with_its_labels_and_their_values(query, exposed):
    for selector in selectors(query):
        assert selector.name in exposed
        labels = exposed[selector.name]
        for matcher in selector.matchers.matchers:
            assert matcher.name in labels.keys() | OF_PROMETHEUS, selector.name
            if matcher.name not in CHOSEN | OF_PROMETHEUS:
                assert set(alternatives(matcher)) <= labels[matcher.name], selector.name


@pytest.mark.parametrize("query", QUERIES, ids=ids)
def test_what_a_query_groups_or_matches_by_is_a_label_of_something_in_it(query, exposed):
    there_are = set().union(*(exposed[selector.name] for selector in selectors(query)))
    assert grouping(query) <= there_are | OF_PROMETHEUS


def test_every_metric_is_in_a_query(exposed):
    asked = {selector.name for query in QUERIES for selector in selectors(query)}
    of_histograms = {name.removesuffix("_bucket") for name in asked}
    whole = {re.sub("_(bucket|sum|count|created)$", "", name) for name in exposed}
    assert whole - asked - of_histograms - {re.sub("_(sum|count)$", "", name) for name in asked} == set()


def test_a_query_that_asks_for_what_is_not_there_would_be_noticed(exposed):
    wrong = Query("", 'sum by (sauce) (rate(gateway_webhooks_total{reason="x"}[5m]))')
    (selector,) = selectors(wrong)
    assert selector.matchers.matchers[0].name not in exposed[selector.name]
    assert grouping(wrong) == {"sauce"}
    with pytest.raises(ValueError, match="unclosed"):
        promql_parser.parse("sum(")


def test_every_alert_says_how_soon_whom_it_concerns_what_there_is_and_where_to_read_on():
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), name
        assert rule["labels"]["concerns"] in ("operator", "destination", "producer"), name
        assert rule["annotations"] == {
            "summary": rule["annotations"]["summary"],
            "runbook_url": f"docs/operations.md#{name.lower()}",
        }


def test_every_alert_has_its_paragraph_and_every_paragraph_its_alert():
    assert re.findall(r"^### (\w+)$", ALERTS, re.MULTILINE) == list(alerts())


def test_every_paragraph_says_what_it_means_where_to_look_what_to_do_and_when_it_is_over():
    for paragraph in ALERTS.split("\n### ")[1:]:
        name, _, text = paragraph.partition("\n")
        kinds = re.findall(r"^(\*|- Look: |- Do: |- It is over )", text, re.MULTILINE)
        assert kinds == ["*", "- Look: ", "- Do: ", "- It is over "], name


def test_an_alert_that_a_paragraph_names_exists():
    assert set(re.findall(r"\b(?:Gateway|Transcriber)[A-Z]\w+", ALERTS)) <= alerts().keys()


def test_every_command_of_the_paragraphs_can_be_parsed(capsys):
    commands = re.findall(r"`gateway ([^`]+)`", ALERTS)
    assert len(commands) > 10
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            main([*shlex.split(command), "--help"])
        assert ended.value.code == 0, command
        options = set(re.findall(r"--[a-z-]+", command))
        assert options <= set(re.findall(r"--[a-z-]+", capsys.readouterr().out)), command


def test_every_alert_is_tested_where_it_fires_and_where_it_does_not():
    said = {
        (check["alertname"], bool(check["exp_alerts"]))
        for path in (DEPLOY / "prometheus/tests").glob("*.yml")
        for test in yaml.safe_load(path.read_text("utf-8"))["tests"]
        for check in test["alert_rule_test"]
    }
    assert said == {(name, fires) for name in alerts() for fires in (True, False)}


def test_every_dashboard_is_one_that_grafana_takes():
    for name, dashboard in dashboards().items():
        panels = dashboard["panels"]
        assert dashboard["uid"] == name
        assert dashboard["schemaVersion"] >= 39
        assert len({panel["id"] for panel in panels}) == len(panels)
        for panel in panels:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24
            assert panel["type"] == "row" or panel["datasource"]["uid"] == "${datasource}"


def test_no_two_panels_of_a_dashboard_lie_on_each_other():
    for name, dashboard in dashboards().items():
        taken = [
            (x, y)
            for panel in dashboard["panels"]
            for place in [panel["gridPos"]]
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]
        assert len(set(taken)) == len(taken), name
