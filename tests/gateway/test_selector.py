"""Selectors: what they find, and that no content makes them raise."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.model import Webhook
from gateway.selector import NOWHERE, Content, compile_expression, parse_selector

DEEP = b"[" * 100_000 + b"]" * 100_000


def content(body=b"{}", *, headers=(), query=b""):
    return Content(Webhook(headers=tuple(headers), query=query, body=body))


def find(text, one):
    return parse_selector(text).find(one)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("json:type", "a.b"),
        ("json:data.jobId", "j1"),
        ("json:data.items[1].id", 2),
        ("json:data.nothing", None),
        ("json:length(data.items)", 2),
        ("header:X-Kind", "k"),
        ("header:x-absent", None),
        ("query:a", "1 2"),
        ("query:empty", ""),
        ("query:absent", None),
    ],
)
def test_a_selector_finds_the_value_that_it_names(selector, expected):
    body = json.dumps({"type": "a.b", "data": {"jobId": "j1", "items": [{"id": 1}, {"id": 2}]}}).encode()
    one = content(body, headers=[(b"x-kind", b"k")], query=b"a=1+2&empty=&b=%E2%98%83")
    assert find(selector, one) == expected


def test_a_form_field_is_found_in_the_body():
    one = content(b"payload=%7B%7D&kind=push+it&kind2=a;b")
    assert (find("form:kind", one), find("form:payload", one), find("form:kind2", one)) == (
        "push it",
        "{}",
        "a;b",
    )


@pytest.mark.parametrize("selector", ["header:x", "query:x", "form:x"])
def test_what_stands_twice_is_not_found(selector):
    one = content(b"x=1&x=2", headers=[(b"x", b"1"), (b"X", b"2")], query=b"x=1&x=2")
    assert find(selector, one) is None


@pytest.mark.parametrize(
    "text", ["", "json", "json:", "body", "cookie:x", "JSON:x", ":x", "header:", "jsonx"]
)
def test_a_text_of_another_form_is_refused_with_the_forms(text):
    with pytest.raises(
        ValueError, match="is not json:PATH, header:NAME, query:NAME, form:NAME or claim:NAME"
    ):
        parse_selector(text)


@pytest.mark.parametrize("path", ["[", "a..b", "a.", "&", "'", "a[", "a || "])
def test_a_path_that_is_no_jmespath_is_refused_in_one_line(path):
    with pytest.raises(ValueError, match="is not a JMESPath expression") as refused:
        parse_selector(f"json:{path}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("lenght(@)", "'length'"),
        ("a[?lenght(b) > `1`]", "'length'"),
        ("map(&zzz(a), @)", ""),
        ("{a: zzz(b)}", ""),
    ],
)
def test_a_function_that_there_is_not_is_refused_with_the_nearest_one(path, near):
    with pytest.raises(ValueError, match="there is no function") as refused:
        compile_expression(path)
    assert near in str(refused.value)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"\xff\xfe", b"NaN", b'{"type": NaN}', b'{"type": -Infinity}', b"[1,]", DEEP, b"\x00", b"\x1f\x8b\x08\x00",
        b'{"type": ' + b"9" * 5000 + b"}", b"\xef\xbb\xbf", "{}".encode("utf-16")[:-1],
    ],
    ids=range(13),
)  # fmt: skip
def test_a_body_that_is_no_json_has_no_value(body):
    assert find("json:type", content(body)) is None
    assert content(body).json is None


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
PIECES = [
    '{"',
    '":',
    "{}",
    "[{",
    "}]",
    "}",
    "]",
    ",",
    " ",
    "\n",
    "\ufeff",
    "\0",
    '"a"',
    "1",
    "NaN",
    "é",
    "\\ud800",
    "null",
]


def loaded(body):
    try:
        return json.loads(body, parse_constant=int)  # which refuses their names
    except (ValueError, RecursionError):
        return None


@given(text=st.lists(st.sampled_from(PIECES), max_size=8).map("".join), encoding=st.sampled_from(ENCODINGS))
@example(text='{"a": [{}]} \n', encoding="utf-8")
@example(text='{"a": 1} {', encoding="utf-8")
@example(text='[{"a": 1}]', encoding="utf-16-le")
@settings(max_examples=2000, deadline=None)
def test_a_body_is_read_as_pythons_json_reads_it(text, encoding):
    body = text.encode(encoding)
    assert content(body).json == loaded(body)


def test_the_last_of_repeated_keys_counts():
    assert find("json:type", content(b'{"type": "a", "type": "b"}')) == "b"


@pytest.mark.parametrize(
    "data", [b"\xff=1", b"&".join(b"a%d=1" % number for number in range(2000)), b"%", b"=", b"&&"]
)
def test_odd_forms_have_no_value(data):
    assert find("form:x", content(data)) is None
    assert find("query:x", content(query=data)) is None


EXPRESSIONS = [
    "type", "data.jobId", "floor(@)", "ceil(type)", "avg(@)", "sum(@)", "abs(type)", "to_number(type)", "to_string(@)", "join(',', @)",
    "sort(@)", "sort_by(@, &type)", "max_by(@, &a)", "contains(@, 'a')", "length(@)", "keys(@)", "values(@)", "merge(@, @)", "reverse(@)",
    "map(&type, @)", "@[?type > `1`]", "@[*].a | [0]", "not_null(a, b)", "starts_with(type, 'a')", "[::0]", "[::-1]",
]  # fmt: skip
documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.just(10**400),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "data", "a", "jobId"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("expression", EXPRESSIONS)
@settings(max_examples=25)
@given(document=documents)
def test_no_document_makes_an_expression_raise(expression, document):
    compile_expression(expression)(document)


@given(body=st.binary(max_size=200), text=st.sampled_from(["json:type", "header:a", "query:a", "form:a"]))
def test_no_bytes_make_a_selector_raise(body, text):
    find(text, content(body, headers=[(b"a", body)], query=body))


def test_an_infinity_is_no_whole_number_and_not_an_error():
    assert find("json:floor(type)", content(b'{"type": 1e999}')) is None


def test_nowhere_finds_nothing():
    assert NOWHERE.find(content(b'{"body": 1}')) is None
