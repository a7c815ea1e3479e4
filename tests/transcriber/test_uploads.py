import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.groq_server import GroqServer
from tests.support.waiting import eventually
from tests.transcriber.conftest import DATA, Api, job_id
from transcriber.errors import RequestError
from transcriber.intake.upload import read_form

JFK = (DATA / "jfk.wav").read_bytes()
MP3 = (DATA / "jfk.mp3").read_bytes()


def test_the_container_is_judged_by_content_whatever_the_name(api: Api, groq: GroqServer) -> None:
    identity = job_id()
    api.post(MP3, name="speech.wav", job_id=identity)
    api.until(identity, "completed")
    assert (groq.asked[0].filename, groq.asked[0].media_type) == ("audio.mp3", "audio/mpeg")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"job_id": "too-short"}, "bad_job_id"),
        ({"job_id": "x" * 129}, "bad_job_id"),
        ({"job_id": "with spaces in the middle of it"}, "bad_job_id"),
        ({"user_id": ""}, "bad_user_id"),
        ({"user_id": "u" * 257}, "bad_user_id"),
        ({"user_id": "line\nbreak"}, "bad_user_id"),
        ({"language": "english"}, "bad_field"),
        ({"model": "../secret model"}, "bad_field"),
        ({"prompt": "p" * 2001}, "bad_field"),
        ({"timestamp_granularities[]": "syllable"}, "bad_field"),
        ({"audio_url": "https://speech.example/x.mp3"}, "bad_field"),
        ({"webhook": "https://example.com"}, "unknown_field"),
    ],
)
def test_a_field_that_cannot_be_used_is_refused(shared_api: Api, fields: dict[str, str], code: str) -> None:
    response = shared_api.post(**fields)
    assert response.status_code == 422
    assert response.json()["code"] == code
    assert shared_api.recordings() == []


def test_a_field_that_is_unknown_is_answered_with_those_that_are_known(shared_api: Api) -> None:
    response = shared_api.post(timestamp_granularities="word")
    assert "there are file, audio_url, " in response.json()["detail"]
    assert response.json()["detail"].endswith("timestamp_granularities[]")


def test_a_form_without_a_file_is_refused(shared_api: Api) -> None:
    only_fields = shared_api.http.post("/v1/jobs", files={"language": (None, "en")})
    assert only_fields.status_code == 422
    assert only_fields.json()["code"] == "no_file"


def test_a_recording_in_a_field_of_another_name_is_told_the_right_one(shared_api: Api) -> None:
    answer = shared_api.http.post("/v1/jobs", files={"audio": (DATA / "jfk.wav").read_bytes()})
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    assert "goes in the field file" in answer.json()["detail"]


def test_an_upload_over_the_limit_is_refused_by_its_announced_and_by_its_real_size(start) -> None:
    api = start(TRANSCRIBER_MAX_UPLOAD_BYTES="100000")
    assert api.post().status_code == 413
    announced = api.post(bytes(2_000_000))
    assert announced.status_code == 413
    assert announced.json()["code"] == "too_large"
    assert api.recordings() == []


BOUNDARY = "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("", b""),
        ("multipart/form-data", b""),
        (f"multipart/form-data; boundary={'b' * 300}", b""),
        (BOUNDARY, b""),
        (BOUNDARY, b"no boundary at all"),
        (BOUNDARY, b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nends early'),
        (BOUNDARY, b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
        (BOUNDARY, b'--b\r\nContent-Disposition: form-data; name="user_id"\r\n\r\n\xff\r\n--b--\r\n'),
        (BOUNDARY, b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n' * 2 + b"--b--\r\n"),
        (
            BOUNDARY,
            b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n'
            + b"x" * 20_000
            + b"\r\n--b--\r\n",
        ),
        (BOUNDARY, b'--b\r\nContent-Disposition: form-data; name="user_id"\r\n\r\nx\r\n' * 40 + b"--b--\r\n"),
        (BOUNDARY, b"--b\r\n" + b"X: " + b"x" * 10_000 + b"\r\n\r\nx\r\n--b--\r\n"),
    ],
)
def test_a_body_that_is_no_form_is_malformed(shared_api: Api, content_type: str, body: bytes) -> None:
    response = shared_api.http.post("/v1/jobs", content=body, headers={"Content-Type": content_type})
    assert response.status_code == 400, response.text
    assert response.json()["code"] == "malformed"
    assert shared_api.recordings() == []


def test_an_upload_whose_client_leaves_is_removed(api: Api) -> None:
    host, port = api.http.base_url.host, api.http.base_url.port
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n"
    with socket.create_connection((host, port)) as client:
        client.sendall(head + b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + JFK[:50_000])
        eventually(lambda: len(api.recordings()) == 1)
    eventually(lambda: api.recordings() == [])


@pytest.mark.parametrize(("before", "after"), [(b"\r\n", b""), (b"", b"x")])
def test_what_stands_around_the_parts_is_bounded_too(start, before: bytes, after: bytes) -> None:
    api = start(TRANSCRIBER_MAX_UPLOAD_BYTES="1000")
    form = b'--b\r\nContent-Disposition: form-data; name="user_id"\r\n\r\nx\r\n--b--\r\n'
    pieces = [before * 10_000] * 80 + [form] + [after * 20_000] * 80
    answer = api.http.post("/v1/jobs", content=iter(pieces), headers={"Content-Type": BOUNDARY})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_an_upload_of_unknown_length_leaves_the_disk_the_room_that_the_database_needs(tmp_path: Path) -> None:
    left = 3_500_000

    def require_room(size_bytes: int) -> None:
        if destination.stat().st_size + size_bytes > left:
            raise RequestError(503, "disk_full", "no room")

    async def body() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
        for _ in range(100):
            yield bytes(100_000)
        yield b"\r\n--b--\r\n"

    destination = tmp_path / "recording"
    reading = read_form(
        body(),
        content_type=BOUNDARY,
        destination=destination,
        max_file_bytes=100_000_000,
        require_room=require_room,
    )
    with pytest.raises(RequestError, match="no room"):
        asyncio.run(reading)
    assert destination.stat().st_size <= left
