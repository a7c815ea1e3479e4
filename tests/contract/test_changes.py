"""What breaks whoever relies on a contract, and what does not: each rule by the smallest change that it is about."""

import copy
import json
import shutil
from pathlib import Path

import pytest
import yaml

from openapi import changes
from openapi.document import FOLDER, NAMES, read

BEFORE = yaml.safe_load("""
openapi: 3.1.0
info: { title: t, version: 0.1.0 }
security: [{ key: [] }]
paths:
  /a:
    post:
      operationId: a
      parameters:
        - { name: q, in: query, schema: { type: string, enum: [x, y] } }
        - { name: X-H, in: header, required: true, schema: { type: string, maxLength: 5 } }
      requestBody:
        content:
          application/json: { schema: { $ref: '#/components/schemas/Asked' } }
          text/plain: { schema: { type: string } }
      responses:
        '200':
          description: d
          headers: { H: { required: true, schema: { type: string } } }
          content: { application/json: { schema: { $ref: '#/components/schemas/Told' } } }
        '400': { description: d }
  /b: { get: { operationId: b, security: [{ key: [], other: [] }], responses: { '200': { description: d } } } }
webhooks:
  w:
    post:
      operationId: w
      parameters: [{ name: I, in: header, required: true, schema: { type: string, enum: [m, n] } }]
      requestBody:
        required: true
        content: { application/json: { schema: { $ref: '#/components/schemas/Told' } } }
      responses:
        '2XX':
          description: d
          content: { application/json: { schema: { $ref: '#/components/schemas/Asked' } } }
components:
  securitySchemes: { key: { type: http, scheme: bearer } }
  schemas:
    Asked:
      type: object
      required: [must]
      properties:
        must: { type: string, pattern: '^a', minLength: 1 }
        may: { type: [integer, 'null'], minimum: 0, maximum: 9 }
        list: { type: array, items: { type: number } }
        count: { type: integer }
        one: { oneOf: [{ type: string }, { type: integer }] }
        map: { type: object, additionalProperties: { type: integer } }
        self: { $ref: '#/components/schemas/Asked' }
    Told:
      allOf: [{ $ref: '#/components/schemas/Base' }]
      required: [id]
      properties:
        id: { minLength: 1 }
        state: { type: string, enum: [up, down] }
        map: { type: object, additionalProperties: { type: integer } }
        self: { $ref: '#/components/schemas/Told' }
      unevaluatedProperties: false
    Base:
      type: object
      properties: { id: { type: string, maxLength: 9 }, note: { type: string } }
""")
A, W, ASKED, TOLD, BASE = "paths./a.post", "webhooks.w.post", "schemas.Asked", "schemas.Told", "schemas.Base"
GONE = object()


def at(document, path):
    node = document["components"] if path.startswith("schemas") else document
    for step in path.split("."):
        node = node[int(step) if step.isdigit() and isinstance(node, list) else step]
    return node


def changed(*edits):
    """Each edit: the way to a node, the key there, and what it is from now on."""
    after = copy.deepcopy(BEFORE)
    for path, key, value in edits:
        node = at(after, path) if path else after
        if value is GONE:
            del node[key]
        elif key == "+":
            node.append(value)
        else:
            node[key] = value
    return after


def found(*edits):
    return changes.breaks(BEFORE, changed(*edits))


P, R = "POST /a", "POST /a: 200"
B = "POST /a: body: application/json"
T = "POST /a: 200: application/json"
BREAKING = [
    ("paths", "/b", GONE, "GET /b is gone"),
    ("paths./a", "post", GONE, "POST /a is gone"),
    (A, "operationId", "c", f"{P} has another operationId"),
    ("", "security", [{"other": []}], f"{P} is no longer answered with key"),
    ("paths./b.get", "security", [{"key": [], "third": []}], "GET /b is no longer answered with key and other"),
    (f"{A}.parameters", "+", {"name": "n", "in": "query", "required": True, "schema": {}}, f"{P}: query n has to be there now"),
    (f"{A}.parameters.0", "required", True, f"{P}: query q has to be there now"),
    (A, "parameters", BEFORE["paths"]["/a"]["post"]["parameters"][1:], f"{P}: query q is no longer taken"),
    (f"{A}.parameters.0.schema", "enum", ["x"], f"{P}: query q no longer takes 'y'"),
    (f"{A}.parameters.0", "schema", {"type": "string", "pattern": "^x"}, f"{P}: query q no longer takes 'y'"),
    (f"{A}.parameters.1.schema", "maxLength", 4, f"{P}: header x-h no longer takes maxLength 5, not 4"),
    (f"{A}.requestBody", "required", True, f"{P}: body has to be there now"),
    (f"{A}.requestBody.content", "text/plain", GONE, f"{P}: body: text/plain is gone"),
    (f"{A}.responses", "200", GONE, f"{R} is gone"),
    (f"{A}.responses.200.headers", "H", GONE, f"{R}: header h is no longer there"),
    (f"{A}.responses.200.headers.H", "required", False, f"{R}: header h is no longer there always"),
    (f"{A}.responses.200.content", "text/csv", {}, f"{R}: may now be text/csv"),
    (f"{A}.responses.200.content", "application/json", GONE, f"{R}: application/json is gone"),
    (f"{ASKED}.required", "+", "may", f"{B}.may has to be there now"),
    (f"{ASKED}.required", "+", "unnamed", f"{B}.unnamed has to be there now"),
    (f"{ASKED}.properties", "list", GONE, f"{B}.list is no longer taken"),
    (ASKED, "additionalProperties", False, f"{B} takes no unknown fields any more"),
    (f"{ASKED}.properties.may", "type", "integer", f"{B}.may no longer takes null"),
    (f"{ASKED}.properties.may", "minimum", 1, f"{B}.may no longer takes minimum 0, not 1"),
    (f"{ASKED}.properties.may", "exclusiveMaximum", 9, f"{B}.may no longer takes exclusiveMaximum any, not 9"),
    (f"{ASKED}.properties.must", "pattern", "^b", f"{B}.must no longer takes pattern ^a, not ^b"),
    (f"{ASKED}.properties.must", "enum", ["a"], f"{B}.must no longer takes any value, not only 'a'"),
    (f"{ASKED}.properties.list.items", "type", "integer", f"{B}.list[] no longer takes number"),
    (f"{ASKED}.properties.list", "uniqueItems", True, f"{B}.list no longer takes uniqueItems any, not True"),
    (f"{ASKED}.properties.map.additionalProperties", "minimum", 0, f"{B}.map.* no longer takes minimum any, not 0"),
    (f"{ASKED}.properties.one", "oneOf", [{"type": "string"}], f"{B}.one no longer takes integer"),
    (TOLD, "required", [], f"{T}.id is no longer there always"),
    (f"{TOLD}.properties.state", "enum", ["up", "down", "off"], f"{T}.state may now be 'off'"),
    (f"{TOLD}.properties.state", "enum", GONE, f"{T}.state may now be any value, not only 'up', 'down'"),
    (f"{BASE}.properties", "note", GONE, f"{T}.note is no longer there"),
    (f"{BASE}.properties.id", "type", ["string", "null"], f"{T}.id may now be null"),
    (f"{BASE}.properties.id", "maxLength", 10, f"{T}.id may now be maxLength 10, not 9"),
    (f"{TOLD}.properties.id", "minLength", 0, f"{T}.id may now be minLength 0, not 1"),
    (f"{TOLD}.properties.map.additionalProperties", "type", "number", f"{T}.map.* may now be number"),
    (f"{TOLD}.properties.map", "properties", {"n": {"type": "string"}}, f"{T}.map.n may now be string"),
    (f"{TOLD}.properties.map", "additionalProperties", GONE, f"{T}.map.* may now be array or boolean or null or number or object or string"),
    ("components.securitySchemes.key", "scheme", "basic", "key is another kind of credential"),
    (W, "parameters", [], "POST w: header i is no longer there"),
    (f"{W}.parameters.0", "required", False, "POST w: header i is no longer there always"),
    (f"{W}.parameters.0.schema", "enum", ["m", "n", "o"], "POST w: header i may now be 'o'"),
    (f"{W}.requestBody.content", "text/plain", {}, "POST w: body: may now be text/plain"),
    (f"{W}.requestBody", "required", False, "POST w: body is no longer there always"),
    (f"{W}.responses.2XX", "headers", {"N": {"required": True, "schema": {}}}, "POST w: 2XX: header n has to be there now"),
    (f"{W}.responses", "2XX", GONE, "POST w: 2XX is gone"),
]  # fmt: skip
HARMLESS = [
    ("paths", "/c", {"get": {"operationId": "c", "responses": {}}}),
    ("", "security", [{"key": []}, {}]),
    (f"{A}.parameters", "+", {"name": "n", "in": "query", "schema": {}}),
    (f"{A}.parameters.1", "required", False),
    (f"{A}.parameters.1", "name", "x-h"),
    (f"{A}.parameters.0.schema", "enum", ["x", "y", "z"]),
    (f"{A}.parameters.1.schema", "maxLength", 6),
    (f"{A}.requestBody.content", "text/csv", {}),
    (f"{A}.responses", "409", {"description": "d"}),
    (f"{A}.responses", "400", GONE),
    (f"{A}.responses.200.headers", "N", {"schema": {}}),
    (ASKED, "required", []),
    (f"{ASKED}.properties", "new", {"type": "string"}),
    (f"{ASKED}.properties.may", "minimum", GONE),
    (f"{ASKED}.properties.count", "type", "number"),
    ("paths./b.get", "security", [{"key": []}]),
    (f"{ASKED}.properties.must", "pattern", GONE),
    (f"{ASKED}.properties.one", "oneOf", [{"type": "integer"}, {"type": "string"}, {"type": "boolean"}]),
    (f"{ASKED}.properties.one", "oneOf", [{"type": ["string", "integer"]}]),
    (f"{ASKED}.properties", "one", {"type": ["integer", "string"]}),
    (f"{ASKED}.properties", "may", {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 9}, {"type": "null"}]}),
    (f"{ASKED}.properties", "count", {"allOf": [{"type": ["integer", "null"]}, {"type": "number"}]}),
    (f"{ASKED}.properties.map.additionalProperties", "type", "number"),
    (f"{ASKED}.properties.map", "additionalProperties", GONE),
    (f"{ASKED}.properties.must", "description", "other words"),
    (f"{A}.parameters.0", "schema", {"type": "string", "maxLength": 1}),
    (f"{TOLD}.properties.map.additionalProperties", "minimum", 0),
    (f"{TOLD}.properties.map", "properties", {"n": {"const": 1}}),
    (f"{TOLD}.properties.map", "additionalProperties", False),
    ("components.securitySchemes.key", "description", "other words"),
    (f"{TOLD}.required", "+", "note"),
    (f"{TOLD}.properties", "new", {"type": "string"}),
    (f"{TOLD}.properties.state", "enum", ["up"]),
    (f"{TOLD}.properties.state", "const", "up"),
    (f"{BASE}.properties.id", "maxLength", 8),
    (f"{W}.parameters", "+", {"name": "n", "in": "header", "required": True, "schema": {}}),
    (f"{W}.parameters.0.schema", "enum", ["m"]),
    ("info", "description", "other words"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "key", "value", "sentence"), BREAKING, ids=[one[-1] for one in BREAKING])
def test_a_change_that_breaks_is_named_with_its_place(path, key, value, sentence):
    assert sentence in found((path, key, value))


@pytest.mark.parametrize(("path", "key", "value"), HARMLESS)
def test_a_change_that_breaks_nobody_is_not_named(path, key, value):
    assert found((path, key, value)) == []


def test_what_a_webhook_sends_is_given_and_what_it_is_answered_is_taken():
    wider = found((f"{TOLD}.properties.state", "enum", ["up", "down", "off"]))
    assert "POST w: body: application/json.state may now be 'off'" in wider
    narrower = found((f"{ASKED}.properties.may", "maximum", 8))
    assert "POST w: 2XX: application/json.may no longer takes maximum 9, not 8" in narrower


def test_nothing_breaks_without_a_change():
    assert found() == []


@pytest.fixture
def folder(tmp_path):
    """With the contracts as of the last release, and nothing named as breaking."""
    shutil.copytree(FOLDER / "released", tmp_path / "released")
    for path in (tmp_path / "released").glob("*.yaml"):
        shutil.copy(path, tmp_path)
    (tmp_path / "breaking.md").write_text("")
    return tmp_path


def break_it(folder, *, version=None):
    path = folder / "gateway.yaml"
    document = read(path)
    del document["paths"]["/healthz"]
    document["info"]["version"] = version or document["info"]["version"]
    path.write_text(json.dumps(document), "utf-8")  # which is YAML too


def test_a_contract_as_it_was_released_passes(folder):
    assert changes.main(folder=folder) == 0


def test_what_breaks_is_said_and_passes_only_where_it_is_named(folder, capsys):
    break_it(folder)
    assert changes.main(folder=folder) == 1
    assert capsys.readouterr().err == "breaks since the last release: gateway: GET /healthz is gone\n"
    (folder / "breaking.md").write_text("Nobody asks.\n\n- `gateway: GET /healthz is gone`\n")
    assert changes.main(folder=folder) == 0


def test_what_is_named_and_breaks_nothing_is_said(folder, capsys):
    (folder / "breaking.md").write_text("- `gateway: GET /healthz is gone`\n")
    assert changes.main(folder=folder) == 1
    assert "names what does not break: gateway: GET /healthz is gone" in capsys.readouterr().err


@pytest.mark.parametrize(("version", "code"), [("0.2.0", 0), ("1.0.0", 0), ("0.1.1", 1)])
def test_a_version_that_may_break_may_and_what_it_breaks_may_be_named_all_the_same(folder, version, code):
    break_it(folder, version=version)
    assert changes.main(folder=folder) == code
    (folder / "breaking.md").write_text("- `gateway: GET /healthz is gone`\n")
    assert changes.main(folder=folder) == 0


def test_the_contracts_break_nothing_of_the_last_release_that_is_not_named():
    assert changes.main() == 0


def test_the_versions_of_the_contracts_are_that_of_the_package():
    (version,) = {read(FOLDER / f"{name}.yaml")["info"]["version"] for name in NAMES}
    assert f'version = "{version}"' in Path("pyproject.toml").read_text("utf-8")
