"""Texts of bytes are read in their one form, and no other bytes are of the same text."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.verify.encoding import DECODERS, ENCODERS, whole_number
from gateway.verify.parameters import usable


@pytest.mark.parametrize("name", DECODERS)
@given(data=st.binary(max_size=40))
def test_what_is_written_is_read_again(name, data):
    assert DECODERS[name](ENCODERS[name](data)) == data


@pytest.mark.parametrize("name", DECODERS)
@given(text=st.one_of(st.binary(max_size=12), st.text("abcdefABC012+/-_= ", max_size=12).map(str.encode)))
def test_what_is_read_is_written_as_it_was_but_for_case_and_padding(name, text):
    data = DECODERS[name](text)
    if data is not None:
        written = ENCODERS[name](data)
        assert written in {text, text.lower() if name == "hex" else text.rstrip(b"=")}


@given(data=st.binary(max_size=40))
def test_base64_is_that_of_the_standard_library(data):
    assert ENCODERS["base64"](data) == base64.b64encode(data)
    assert ENCODERS["base64url"](data) == base64.urlsafe_b64encode(data).rstrip(b"=")
    assert DECODERS["base64url"](base64.urlsafe_b64encode(data)) == data


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"0123456789", 123456789),
        (b"1234567890", 1234567890),
        (b"123456789", None),
        (b"12345678901", None),
        (b"+234567890", None),
        (b"1_34567890", None),
        (b" 234567890", None),
        (b"123456789\n", None),
        (b"\xb2234567890", None),
        (b"", None),
    ],
)
def test_a_number_is_of_exactly_so_many_digits(text, number):
    assert whole_number(text, digits=10) == number


def test_a_secret_is_used_as_it_is_and_a_key_in_pem_may_end_in_a_line():
    assert usable("s") == "s"
    assert usable("-----BEGIN PUBLIC KEY-----\n") == "-----BEGIN PUBLIC KEY-----\n"
    for text in ("\ts", "s\N{NO-BREAK SPACE}", "\n-----BEGIN PUBLIC KEY-----"):
        with pytest.raises(ValueError, match="white space"):
            usable(text)


def test_padding_is_whole_or_not_there_and_nothing_else_is_taken_off():
    assert DECODERS["base64url"](b"QQ") == DECODERS["base64url"](b"QQ==") == b"A"
    assert DECODERS["base64url"](b"QQ=") is None
    assert ENCODERS["base64url"](DECODERS["base64"](b"AAAx")) == b"AAAx"
