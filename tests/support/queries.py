"""The queries of the alert rules and dashboards in deploy/, and what each asks for."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
VARIABLES = {
    "$__rate_interval": "5m",
    "$__range": "1h",
    "$__interval": "1m",
    "$instance": ".+",
    "$destination": ".+",
}
"""What Grafana puts in their place, or something like it."""


@dataclass(frozen=True, slots=True)
class Query:
    place: str
    """Whose it is: an alert's name, or a dashboard's and a panel's."""
    text: str


def rules() -> list[dict[str, Any]]:
    """Alerts, and those that record."""
    return [
        rule
        for path in sorted((DEPLOY / "prometheus/rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
        for rule in group["rules"]
    ]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def rule_queries() -> list[Query]:
    return [Query(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules()]


def dashboards() -> dict[str, dict[str, Any]]:
    paths = sorted((DEPLOY / "grafana/dashboards").glob("*.json"))
    return {path.stem: json.loads(path.read_text("utf-8")) for path in paths}


def dashboard_queries() -> list[Query]:
    """With Grafana's variables replaced."""
    return [
        Query(f"{name}: {panel['title']}", _replaced(target["expr"]))
        for name, dashboard in dashboards().items()
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    ]


def _replaced(text: str) -> str:
    for variable, value in VARIABLES.items():
        text = text.replace(variable, value)
    return text


def parts(query: Query) -> Iterator[promql_parser.Expr]:
    """The nodes of its tree. Raise ValueError where it is none."""
    nodes: list[promql_parser.Expr] = []
    promql_parser.walk(promql_parser.parse(query.text), pre_visit=nodes.append)
    yield from nodes


def selectors(query: Query) -> list[promql_parser.VectorSelector]:
    return [node for node in parts(query) if isinstance(node, promql_parser.VectorSelector)]


def grouping(query: Query) -> set[str]:
    """The labels by which it groups or matches."""
    found: set[str] = set()
    for node in parts(query):
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            found.update(node.modifier.labels)
        if isinstance(node, promql_parser.BinaryExpr) and node.modifier is not None:
            found.update(getattr(node.modifier.matching, "labels", None) or ())
    return found


def alternatives(matcher: promql_parser.Matcher) -> list[str]:
    """The values that it names; none where it takes all that there are."""
    return [] if matcher.value in (".+", ".*", "") else re.split(r"\|", matcher.value)
