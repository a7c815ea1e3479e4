"""One fetch over real sockets: from whom, by which way, and within which bounds."""

import asyncio
import gzip
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.certificate import self_signed
from tests.support.raw_server import Answer, RawServer, Request, raw_server, say
from transcriber.backoff import retry_after_seconds
from transcriber.errors import SpeechError
from transcriber.intake.fetch import Bounds, Fetcher
from transcriber.intake.resolve import Resolve, resolve_by_system
from transcriber.model import AudioUrl
from transcriber.store.recordings import MIN_FREE_BYTES

HOST = "speech.example"
NOW_MS = 1_795_000_000_000
SOUND = "ten bytes!"
HERE = "127.0.0.1"


async def here(_host: str, _port: int) -> list[str]:
    return [HERE]


async def nowhere(_host: str, _port: int) -> list[str]:
    raise OSError("no such name")


def one_after_another(*answers: list[str]) -> Resolve:
    rest = iter(answers)

    async def resolve(_host: str, _port: int) -> list[str]:
        return next(rest)

    return resolve


def answer_of(status: str = "200 OK", body: str = SOUND, **headers: str) -> str:
    lines = [f"{name.replace('_', '-')}: {value}\n" for name, value in headers.items()]
    return f"HTTP/1.1 {status}\nContent-Length: {len(body)}\n{''.join(lines)}\n{body}"


def redirect_to(location: str, status: str = "302 Found", **headers: str) -> str:
    return answer_of(status, "", Location=location, **headers)


def by_path(answers: dict[str, str]) -> Answer:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        await say(answers[request.line.split(" ")[1]])(request, writer)

    return answer


@pytest.fixture
def fetch(tmp_path: Path) -> Callable:
    """Fetches `url` into a file, with changed bounds; what the file holds then."""

    async def fetch(
        url: str,
        *,
        resolve: Resolve = here,
        tls: ssl.SSLContext | None = None,
        free_bytes: int = 10**12,
        **bounds: object,
    ) -> bytes:
        fetcher = Fetcher(
            bounds=Bounds(**{"max_bytes": 1_000_000, "seconds": 20, "allow_private": True} | bounds),
            resolve=resolve,
            tls=tls or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # trusts nobody
            free_bytes=lambda: free_bytes,
            now=lambda: NOW_MS,
        )
        size = await fetcher.fetch(AudioUrl(url), tmp_path / "recording")
        content = (tmp_path / "recording").read_bytes()
        assert size == len(content)
        return content

    return fetch


@contextmanager
def fails(code: str, *, retryable: bool, says: str = HOST) -> Iterator[None]:
    with pytest.raises(SpeechError) as caught:
        yield
    assert (caught.value.code, caught.value.retryable) == (code, retryable), caught.value
    assert says in caught.value.message
    assert "secret" not in caught.value.message


def url_of(server: RawServer, path: str = "/secret.mp3?secret=1", host: str = HOST) -> str:
    return f"http://{host}:{server.port}{path}"


async def test_a_recording_is_asked_for_by_its_name_at_the_address_that_was_judged(fetch) -> None:
    async with raw_server(say(answer_of())) as server:
        assert await fetch(url_of(server)) == SOUND.encode()
    (request,) = server.requests
    assert request.line == "GET /secret.mp3?secret=1 HTTP/1.1"
    assert request.values("host") == [f"{HOST}:{server.port}"]
    assert request.values("accept-encoding") == ["identity"]
    assert {name.lower() for name, _ in request.headers} == {
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "connection",
    }


@pytest.mark.parametrize("addresses", [["10.0.0.1"], [HERE], ["::1", HERE], ["::ffff:127.0.0.1"]])
async def test_a_name_with_no_public_address_is_refused_and_nobody_asked(fetch, addresses) -> None:
    async with raw_server(say(answer_of())) as server:
        with fails("audio_url_private", retryable=False):
            await fetch(url_of(server), resolve=one_after_another(addresses), allow_private=False)
    assert server.connections == 0


async def test_the_private_one_of_several_addresses_is_left_out(fetch) -> None:
    async with raw_server(say(answer_of())) as server:
        assert await fetch(url_of(server), resolve=one_after_another(["0.0.0.0", HERE])) == SOUND.encode()
        with fails("audio_url_private", retryable=False):
            await fetch(url_of(server), resolve=one_after_another(["0.0.0.0"]))
    assert server.connections == 1


async def test_a_name_that_means_another_host_a_moment_later_is_not_asked_again(fetch) -> None:
    async with raw_server(say(answer_of())) as judged:
        async with raw_server(say(answer_of(body="inside")), host="127.0.0.2", port=judged.port) as other:
            answers = one_after_another([HERE], ["127.0.0.2"])
            assert await fetch(url_of(judged), resolve=answers) == SOUND.encode()
        assert other.connections == 0


async def test_the_next_address_is_tried_where_one_cannot_be_connected_to(fetch) -> None:
    async with raw_server(say(answer_of())) as server:
        answers = one_after_another(["127.0.0.3", HERE])
        assert await fetch(url_of(server), resolve=answers) == SOUND.encode()


async def test_a_host_that_is_not_there_may_be_there_later(fetch) -> None:
    async with raw_server(say(answer_of())) as server:
        pass
    with fails("audio_url_unreachable", retryable=True):
        await fetch(url_of(server))
    with fails("audio_url_unreachable", retryable=True):
        await fetch(url_of(server), resolve=nowhere)


async def test_the_system_is_asked_for_names_in_a_thread_of_its_own() -> None:
    assert HERE in await resolve_by_system("localhost", 80)
    with pytest.raises(OSError, match="no name"):
        await resolve_by_system("x" * 300, 80)


@pytest.mark.parametrize("status", ["301 M", "302 F", "303 S", "307 T", "308 P"])
async def test_a_redirect_is_followed_without_cookies_or_a_trace_of_where_from(fetch, status: str) -> None:
    answers = {
        "/secret.mp3?secret=1": redirect_to("/there?secret=2", status, Set_Cookie="a=b; Path=/"),
        "/there?secret=2": answer_of(),
    }
    async with raw_server(by_path(answers)) as server:
        assert await fetch(url_of(server)) == SOUND.encode()
    second = server.requests[1]
    assert [second.values(name) for name in ("cookie", "referer", "authorization")] == [[], [], []]


async def test_three_redirects_are_followed_and_not_a_fourth(fetch) -> None:
    answers = {f"/{number}": redirect_to(f"/{number - 1}") for number in range(1, 5)} | {"/0": answer_of()}
    async with raw_server(by_path(answers)) as server:
        assert await fetch(url_of(server, "/3")) == SOUND.encode()
        with fails("audio_url_bad_redirect", retryable=False, says="more than 3 times"):
            await fetch(url_of(server, "/4"))


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://0.0.0.0/secret", "audio_url_private"),
        ("http://inside.example/secret", "audio_url_private"),
        ("//inside.example/secret", "audio_url_private"),
        ("ftp://speech.example/secret", "audio_url_bad_redirect"),
        ("file:///etc/secret", "audio_url_bad_redirect"),
        ("http://user:secret@speech.example/", "audio_url_bad_redirect"),
        ("http://speech.example:x/secret", "audio_url_bad_redirect"),
        ("http://[secret/", "audio_url_bad_redirect"),
        ("", "audio_url_bad_redirect"),
    ],
)
async def test_a_redirect_is_judged_as_the_first_address_was(fetch, location: str, code: str) -> None:
    async def resolve(host: str, _port: int) -> list[str]:
        return ["0.0.0.0"] if host == "inside.example" else [HERE]

    async with raw_server(say(redirect_to(location))) as server:
        with fails(code, retryable=False, says=""):
            await fetch(url_of(server), resolve=resolve)
    assert len(server.requests) == 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"), host=HOST)


@pytest.fixture
def trusting(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate[0])


@pytest.fixture
def server_tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


async def test_a_certificate_has_to_be_for_the_name_although_the_address_is_connected_to(
    fetch, trusting, server_tls
) -> None:
    asked: list[str | None] = []
    server_tls.sni_callback = lambda _socket, name, _context: asked.append(name)
    async with raw_server(say(answer_of()), tls=server_tls) as server:
        assert await fetch(f"https://{HOST}:{server.port}/", tls=trusting) == SOUND.encode()
        with fails("audio_url_unreachable", retryable=True, says="other.example"):
            await fetch(f"https://other.example:{server.port}/", tls=trusting)
        with fails("audio_url_unreachable", retryable=True):
            await fetch(f"https://{HOST}:{server.port}/")
    assert asked == [HOST, "other.example", HOST]
    assert server.requests[0].values("host") == [f"{HOST}:{server.port}"]


async def test_a_redirect_never_leaves_https_for_http(fetch, trusting, server_tls) -> None:
    async with raw_server(say(redirect_to(f"http://{HOST}/")), tls=server_tls) as server:
        with fails("audio_url_bad_redirect", retryable=False, says="from https to http"):
            await fetch(f"https://{HOST}:{server.port}/", tls=trusting)


async def test_a_proxy_of_the_environment_is_not_asked(fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(say(answer_of())) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        assert await fetch(url_of(server)) == SOUND.encode()


@pytest.mark.parametrize("status", [201, 204, 206, 300, 304, 400, 401, 403, 404, 410, 451])
async def test_an_answer_that_stays_as_it_is_ends_the_fetch_and_is_named(fetch, status: int) -> None:
    async with raw_server(say(f"HTTP/1.1 {status} Odd\nContent-Length: 0\n\n")) as server:
        with fails("audio_url_refused", retryable=False, says=f"{HOST} answered {status}"):
            await fetch(url_of(server))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 599])
async def test_an_answer_that_passes_is_worth_another_attempt(fetch, status: int) -> None:
    async with raw_server(say(answer_of(f"{status} Odd", Retry_After="77"))) as server:
        with pytest.raises(SpeechError, match=f"{HOST} answered {status}") as caught:
            await fetch(url_of(server))
    assert caught.value.retryable
    assert caught.value.retry_after_seconds == 77


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("9" * 5_000, 999_999_999_999),
        ("Wed, 18 Nov 2026 11:28:20 GMT", 1_300),
        ("Wed, 18 Nov 2020 11:08:20 GMT", 0),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("١٢", None),
        (f"Wed, 18 Nov {10**20} 11:28:20 GMT", None),
    ],
)
def test_a_retry_after_is_read_in_both_forms(value: str, seconds: float | None) -> None:
    assert retry_after_seconds(value, NOW_MS) == seconds


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_new_york")
def test_a_date_without_a_zone_is_not_taken_for_a_local_one() -> None:
    assert retry_after_seconds("Wed, 18 Nov 2026 11:28:20", NOW_MS) == 1_300


@pytest.mark.parametrize(
    "said", ["not HTTP at all\n\n", "HTTP/1.1 abc\n\n", "HTTP/1.1 200 OK\nX: " + "x" * 200_000]
)
async def test_a_host_that_does_not_speak_http_is_unreachable(fetch, said: str) -> None:
    async with raw_server(say(said)) as server:
        with fails("audio_url_unreachable", retryable=True):
            await fetch(url_of(server))


async def test_a_recording_that_is_announced_as_too_large_is_not_read(fetch) -> None:
    async with raw_server(say(f"HTTP/1.1 200 OK\nContent-Length: {10**12}\n\n")) as server:
        with fails("audio_too_large", retryable=False, says="1000000 bytes"):
            await fetch(url_of(server))


async def test_a_recording_without_end_is_read_up_to_the_bound(fetch, tmp_path: Path) -> None:
    sent = 0

    async def endless(_request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + bytes(65_536) + b"\r\n")
            await writer.drain()
            sent += 65_536

    async with raw_server(endless) as server:
        with fails("audio_too_large", retryable=False, says="3000000 bytes"):
            await fetch(url_of(server), max_bytes=3_000_000)
    assert (tmp_path / "recording").stat().st_size <= 3_000_000
    assert sent < 30_000_000


@pytest.mark.parametrize(
    "said",
    [
        f"HTTP/1.1 200 OK\nContent-Length: 99\n\n{SOUND}",
        f"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\na\n{SOUND}\n",
    ],
)
async def test_a_recording_that_breaks_off_is_not_taken_for_whole(fetch, said: str) -> None:
    async def broken(request: Request, writer: asyncio.StreamWriter) -> None:
        await say(said)(request, writer)
        writer.close()

    async with raw_server(broken) as server:
        with fails("audio_url_truncated", retryable=True):
            await fetch(url_of(server))


async def test_no_more_is_taken_than_was_announced(fetch) -> None:
    async with raw_server(say(f"HTTP/1.1 200 OK\nContent-Length: 3\n\n{SOUND}")) as server:
        assert await fetch(url_of(server)) == b"ten"


async def test_a_recording_of_many_pieces_arrives_whole(fetch) -> None:
    body = "0123456789abcdef" * 200_000
    async with raw_server(say(answer_of(body=body))) as server:
        assert await fetch(url_of(server), max_bytes=len(body)) == body.encode()


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip"])
async def test_what_is_compressed_is_not_unpacked(fetch, tmp_path: Path, coding: str) -> None:
    bomb = gzip.compress(bytes(10_000_000)).decode("latin-1")
    async with raw_server(say(answer_of(body=bomb, Content_Encoding=coding))) as server:
        with fails("audio_url_encoded", retryable=False):
            await fetch(url_of(server))
    assert not (tmp_path / "recording").exists()


async def drip(request: Request, writer: asyncio.StreamWriter) -> None:
    await say("HTTP/1.1 200 OK\nContent-Length: 1000000\n\n")(request, writer)
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def hang_in_the_body(request: Request, writer: asyncio.StreamWriter) -> None:
    await say("HTTP/1.1 200 OK\nContent-Length: 1000000\n\nx")(request, writer)
    await asyncio.Event().wait()


async def hang_before_the_head(_request: Request, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("answer", [hang_before_the_head, hang_in_the_body])
async def test_a_host_that_sends_nothing_for_long_is_left(fetch, answer: Answer) -> None:
    async with raw_server(answer) as server:
        with fails("audio_url_timeout", retryable=True, says="within 0.1 s"):
            await fetch(url_of(server), idle_seconds=0.1)


async def test_a_host_that_sends_a_little_for_ever_is_left_too(fetch) -> None:
    async with raw_server(drip) as server:
        with fails("audio_url_timeout", retryable=True, says="within 0.3 s"):
            await fetch(url_of(server), seconds=0.3)


async def test_a_name_server_that_hangs_is_left_too(fetch) -> None:
    async def never(_host: str, _port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    with fails("audio_url_timeout", retryable=True, says="within 0.1 s"):
        await fetch(f"http://{HOST}/", resolve=never, seconds=0.1)


async def test_a_disk_without_room_for_what_is_announced_is_left_as_it_is(fetch, tmp_path: Path) -> None:
    async with raw_server(say(answer_of())) as server:
        with fails("disk_full", retryable=True, says="no room"):
            await fetch(url_of(server), free_bytes=MIN_FREE_BYTES + len(SOUND) - 1)
        assert not (tmp_path / "recording").exists()
        assert await fetch(url_of(server), free_bytes=MIN_FREE_BYTES + len(SOUND)) == SOUND.encode()


async def test_a_disk_that_fills_up_during_the_fetch_keeps_its_reserve(fetch) -> None:
    async def without_length(request: Request, writer: asyncio.StreamWriter) -> None:
        await say("HTTP/1.1 200 OK\nConnection: close\n\n" + "x" * 3_000_000)(request, writer)
        writer.close()

    async with raw_server(without_length) as server:
        with fails("disk_full", retryable=True, says="no room"):
            await fetch(url_of(server), max_bytes=4_000_000, free_bytes=MIN_FREE_BYTES + 1_000_000)
