"""Judges the address of a recording, as a client or a redirect gives it, before anybody is asked about it."""

import httpx

from transcriber.errors import SpeechError
from transcriber.intake.address import may_be_fetched_from, written_out

MAX_CHARACTERS = 2_048


def parse(text: str, *, allow_private: bool) -> httpx.URL:
    """Without its fragment. Raises SpeechError, not retryable, whose message tells nothing of the address but its host."""
    if len(text) > MAX_CHARACTERS:
        raise _bad(f"is longer than {MAX_CHARACTERS} characters")
    try:
        url = httpx.URL(text).copy_with(fragment=None)
        named = bool(url.host)
    except (httpx.InvalidURL, ValueError) as error:
        raise _bad("cannot be read as an address") from error
    if url.scheme not in {"http", "https"} or not named:
        raise _bad("must begin with http:// or https:// and name a host")
    if "%" in host_of(url):
        raise _bad("names a host in characters that no host has")
    if url.userinfo:
        raise _bad("must not carry a user or password: use an address that is signed")
    if url.port is not None and not 1 <= url.port <= 65_535:
        raise _bad("names a port that is not from 1 to 65535")
    address = written_out(host_of(url))
    if address is not None and not may_be_fetched_from(address, allow_private=allow_private):
        raise not_public(host_of(url))
    return url


def host_of(url: httpx.URL) -> str:
    """As it goes over the wire: all that may be shown of an address, for the rest can be a signature."""
    return url.raw_host.decode("ascii")


def not_public(host: str) -> SpeechError:
    return SpeechError(
        "audio_url_private", f"{host} has no public address: send the recording itself in the field file"
    )


def _bad(what: str) -> SpeechError:
    return SpeechError("bad_audio_url", f"audio_url {what}")
