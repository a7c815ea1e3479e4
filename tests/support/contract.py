"""What both live services are held to, whatever Schemathesis sends them, and the proof that it sends all that it can."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from schemathesis.generation.meta import TestPhase

from openapi.document import FOLDER, examples, operations, read

ALWAYS_THERE = {"content-length", "content-type", "date"}
UNAVAILABLE = 503

Check = Callable[[Any, Any, Any], None]


def without_other_refusals(name: str) -> dict[str, Any]:
    """The contract without what it says of any other answer: each that comes here has to be named by its status."""
    document = copy.deepcopy(dict(read(FOLDER / f"{name}.yaml")))
    for operation in operations(document):
        if not operation.is_webhook:
            operation.node["responses"].pop("default")
    return document


def secrets_are_never_told(*secrets: str) -> Check:
    def secrets_are_never_told(_context: Any, response: Any, _case: Any) -> None:
        said = response.content + repr(response.headers).encode()
        assert [secret for secret in secrets if secret.encode() in said] == []

    return secrets_are_never_told


def refusals_are_problems(_context: Any, response: Any, case: Any) -> None:
    if response.status_code < 400 or case.path == "/readyz":
        return
    assert response.headers["content-type"] == ["application/problem+json"]
    problem = response.json()
    assert (problem["type"], problem["status"]) == ("about:blank", response.status_code)
    assert problem["title"]
    assert problem["detail"]


def no_fault_but_unavailability(_context: Any, response: Any, _case: Any) -> None:
    assert response.status_code < 500 or response.status_code == UNAVAILABLE


def headers_are_documented(_context: Any, response: Any, case: Any) -> None:
    definition = case.operation.responses.find_by_status_code(response.status_code)
    if definition is not None:
        documented = {name.lower() for name, _ in definition.headers.items()}
        assert set(response.headers) - documented - ALWAYS_THERE == set()


OURS = [refusals_are_problems, no_fault_but_unavailability, headers_are_documented]


class Phases:
    """Which of Schemathesis's phases sent something, for one operation in one test."""

    def __init__(self) -> None:
        self._seen: set[TestPhase] = set()
        self._cases: list[Any] = []

    def note(self, case: Any) -> None:
        self._seen.add(case.meta.phase.name)
        self._cases = [case]

    @property
    def missing(self) -> set[TestPhase]:
        """Examples are sent where the contract has any of what is asked; the others always."""
        (case,) = self._cases
        due = {TestPhase.COVERAGE, TestPhase.FUZZING}
        if has_examples(case.operation.definition.raw, case.operation.schema.raw_schema):
            due.add(TestPhase.EXAMPLES)
        return due - self._seen


def has_examples(operation: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """Of a parameter or the body. `operation` is one of `document`'s, by its id."""
    (found,) = [one for one in operations(document) if one.node["operationId"] == operation["operationId"]]
    bodies = found.body.get("content", {}).values()
    return any(list(examples(document, one)) for one in (*found.parameters, *bodies))
