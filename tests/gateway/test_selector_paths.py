"""A path of plain keys is looked up without JMESPath, and finds just what JMESPath finds."""

import json

import jmespath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Webhook
from gateway.selector import Content, compile_expression

KEYS = st.sampled_from(["type", "data", "a", "jobId", "get", "keys", "é", "a b", "a.b", "", "0", "null"])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def quoted(key):
    return json.dumps(key)


@given(document=DOCUMENTS, keys=st.lists(KEYS, min_size=1, max_size=4))
def test_keys_with_dots_between_them_find_what_jmespath_finds(document, keys):
    path = ".".join(quoted(key) for key in keys)
    assert repr(compile_expression(path)(document)) == repr(jmespath.search(path, document))


@given(document=DOCUMENTS)
@pytest.mark.parametrize("path", ["type", "data.jobId", "data.a.jobId", "a.get", "data.keys"])
def test_unquoted_keys_do_too(path, document):
    assert repr(compile_expression(path)(document)) == repr(jmespath.search(path, document))


@pytest.mark.parametrize(
    "path",
    [
        "@",
        "a[0]",
        "a.b[0]",
        "a[*].b",
        "a.*",
        "a || b",
        "a.[b]",
        "a.{b: c}",
        "a | b",
        "a.length(@)",
        "*.a",
        "`1`",
        "'a'",
        "!a",
    ],
)
@settings(max_examples=20)
@given(document=DOCUMENTS)
def test_every_other_expression_is_left_to_jmespath(path, document):
    try:
        expected = jmespath.search(path, document)
    except Exception:  # noqa: BLE001 - JMESPath's own errors and those it lets through
        expected = None
    assert repr(compile_expression(path)(document)) == repr(expected)


@settings(max_examples=50)
@given(
    body=st.binary(max_size=60)
    | st.recursive(st.just("x"), st.lists).map(lambda one: json.dumps(one).encode())
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32-be"])
def test_a_body_is_read_as_json_loads_reads_it(encoding, body):
    body = body.decode("latin-1").encode(encoding)

    def refuse(name):
        raise ValueError(name)

    try:
        expected = json.loads(body, parse_constant=refuse)
    except ValueError:
        expected = None
    assert Content(Webhook(headers=(), query=b"", body=body)).json == expected
