"""Files that are not what they seem: the answer to each, and that nothing else happens."""

import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import pytest

from tests.support import hostile_audio as hostile
from tests.support.audio_files import FORMATS, Format, encoded, silent_video
from tests.support.groq_server import GroqServer
from tests.support.hostile_audio import JFK, MP3, SPOKEN
from tests.support.opened import watched
from tests.support.process import ROOT
from tests.support.speech import RATE, wav
from tests.support.webhook_receiver import WebhookReceiver
from tests.transcriber.conftest import Api, environment_of, job_id, running
from transcriber.audio import identify, measure, windows
from transcriber.errors import AudioError, StoppedError


def written(name: str) -> bytes:
    return encoded(FORMATS[name], SPOKEN)


# What no job is made of: how it is written, and the code of the answer.
REFUSED = {
    "nothing": (lambda: b"", "empty"),
    "text": (lambda: b"hello world\n" * 100, "not_audio"),
    "a page": (lambda: b"<!doctype html><html><body>404" * 50, "not_audio"),
    "random bytes": (lambda: hostile.noise(5_000), "not_audio"),
    "a picture": (hostile.png, "not_audio"),
    "a video without sound": (silent_video, "no_audio"),
    "a header without sound": (wav, "no_audio"),
    "half a header": (lambda: JFK[:30], "not_audio"),
    "a zip of sound": (lambda: hostile.zipped(JFK), "not_audio"),
    "a gzip of sound": (lambda: hostile.gzipped(JFK), "not_audio"),
    "a program": (lambda: b"\x7fELF" + hostile.noise(5_000), "not_audio"),
    "half an m4a, its index at the end": (lambda: hostile.cut(written("m4a")), "not_audio"),
    "an unknown codec": (lambda: encoded(Format("wav", "g726", rate=8_000), SPOKEN), "not_audio"),
    "0 Hz": (lambda: hostile.wav_of(rate=0), "not_audio"),
    "1 Hz": (lambda: hostile.wav_of(rate=1, seconds=8_000), "not_decodable"),
    "4 GHz": (lambda: hostile.wav_of(rate=2**32 - 1, seconds=1e-5), "not_audio"),
    "no channel": (lambda: hostile.wav_of(channels=0), "no_audio"),
    "255 channels": (lambda: hostile.wav_of(channels=255, seconds=0.1), "not_decodable"),
    "a tag longer than the file": (lambda: b"ID3\x03\0\0\x7f\x7f\x7f\x7f" + MP3, "not_audio"),
    "ten thousand packets that do not decode": (lambda: hostile.adts_crumbs(10_000), "not_decodable"),
    "nothing but noise behind the header": (
        lambda: hostile.spoiled(written("ogg, Opus"), first=0.05, last=1),
        "not_audio",
    ),
}
# What only decoding the whole finds: the code of the job's error.
FAILED = {
    **{
        f"half of a {name}": (lambda name=name: hostile.cut(written(name)), "audio_truncated")
        for name in ("wav", "mp3, variable rate", "flac", "aiff", "mp4, in fragments")
    },
    "too little sound to have a length": (lambda: wav(SPOKEN[:14]), "no_audio"),
    "half of an mp3": (lambda: hostile.cut(MP3), "audio_truncated"),
    "a wav that says ten times its length": (lambda: hostile.wav_saying(len(SPOKEN) * 10), "audio_truncated"),
    "a wav that says just under 2 GiB": (lambda: hostile.wav_saying(2**31 - 2), "audio_truncated"),
    "a wav that says a tenth of its length": (
        lambda: hostile.wav_saying(len(SPOKEN) // 10),
        "audio_header_wrong",
    ),
    "two wavs in one": (lambda: JFK + JFK, "audio_header_wrong"),
    "an mp3 with a tenth of noise in it": (
        lambda: hostile.spoiled(written("mp3, variable rate"), first=0.4, last=0.5),
        "audio_truncated",
    ),
    "an ogg that changes its rate": (
        lambda: hostile.changing("ogg, Vorbis", 16_000, 44_100),
        "not_decodable",
    ),
    "an hour of silence in 700 kB": (lambda: hostile.flac_bomb(seconds=3_600), "audio_too_long"),
}
# What is transcribed all the same: its seconds.
TAKEN = {
    "a wav that says it has no end": (lambda: hostile.wav_saying(-1), 11.0),
    "a wav that says 2 GiB": (lambda: hostile.wav_saying(2**31), 11.0),
    "a wav whose length was never written": (lambda: hostile.wav_saying(0), 11.0),
    "a wav with more chunks than are looked through": (lambda: hostile.wav_behind_chunks(1_000), 1.0),
    "a wav that says a little too much": (lambda: hostile.wav_saying(len(SPOKEN) + 100), 11.0),
    "half of an ogg, which says no length": (lambda: hostile.cut(written("ogg, Opus")), 5.0),
    "half of a browser's webm": (lambda: hostile.cut(written("webm, as a browser records")), 5.6),
    "a webm with a tenth of noise in it": (
        lambda: hostile.spoiled(written("webm, as a browser records"), first=0.4, last=0.5),
        9.3,
    ),
    "three mp3s of different rates in one": (
        lambda: hostile.changing("mp3, variable rate", 16_000, 44_100, 22_050),
        33.0,
    ),
    "two oggs in one, as radios send them": (lambda: hostile.changing("ogg, Vorbis", 44_100, 44_100), 22.0),
    "six channels at 96 kHz": (
        lambda: encoded(replace(FORMATS["wav, float, 5.1"], rate=96_000), SPOKEN[:64_000]),
        2.0,
    ),
}


@pytest.fixture(scope="module")
def api(
    tmp_path_factory: pytest.TempPathFactory, running_receiver: WebhookReceiver, running_groq: GroqServer
) -> Iterator[Api]:
    """One for all of them: none brings it down."""
    environment = environment_of(tmp_path_factory.mktemp("hostile"), running_receiver, running_groq)
    with running({**environment, "TRANSCRIBER_MAX_AUDIO_SECONDS": "60"}) as api:
        yield api


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_speech_is_refused_before_a_job_exists(api: Api, name: str) -> None:
    made, code = REFUSED[name]
    identity, before = job_id(), api.recordings()
    response = api.post(made(), job_id=identity)
    assert (response.status_code, response.json()["code"]) == (422, code), response.text
    assert api.http.get(f"/v1/jobs/{identity}").status_code == 404
    assert api.recordings() == before


@pytest.mark.parametrize("name", FAILED)
def test_what_only_decoding_finds_ends_the_job_and_the_engine_never_hears_it(
    api: Api, groq: GroqServer, name: str
) -> None:
    made, code = FAILED[name]
    response = api.post(made())
    assert response.status_code == 202, response.text
    failed = api.until(response.json()["jobId"], "failed", "completed")
    assert failed["status"] == "failed"
    assert failed["error"]["code"] == code
    assert failed["timestamps"]["completedAt"] is not None
    assert groq.asked == []


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_only_odd_is_transcribed(api: Api, name: str) -> None:
    made, seconds = TAKEN[name]
    done = api.until(api.post(made()).json()["jobId"], "completed", "failed")
    assert done["status"] == "completed", done["error"]
    assert done["result"]["durationSeconds"] == pytest.approx(seconds, abs=0.3)


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_only_odd_reaches_an_engine_in_full(name: str, tmp_path: Path) -> None:
    made, seconds = TAKEN[name]
    (tmp_path / "neutral").write_bytes(made())
    heard = sum(len(window.samples) for window in windows(tmp_path / "neutral"))
    assert heard / RATE == pytest.approx(seconds, abs=0.3)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "target.mp3"
    path.write_bytes(MP3)
    return path


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def called(listener: socket.socket) -> bool:
    return bool(select.select([listener], [], [], 0)[0])


@pytest.mark.parametrize("name", hostile.playlists(""))
def test_a_playlist_reaches_neither_the_network_nor_the_disk(
    api: Api, target: Path, listener: socket.socket, name: str
) -> None:
    addresses = [
        f"http://127.0.0.1:{listener.getsockname()[1]}/x.mp3",
        f"tcp://127.0.0.1:{listener.getsockname()[1]}",
        f"file://{target}",
        str(target),
        "file:///etc/passwd",
        f"concat:{target}|{target}",
    ]
    with watched(target) as opened:
        for address in addresses:
            for as_name in (name, "speech.mp3", f"../../{name}"):
                response = api.post(hostile.playlists(address)[name], name=as_name)
                assert (response.status_code, response.json()["code"]) == (422, "not_audio")
        assert not opened()
    assert not called(listener)


def test_a_playlist_is_not_followed_even_under_its_own_name(target: Path, tmp_path: Path) -> None:
    with watched(target) as opened:
        for name, content in hostile.playlists(str(target)).items():
            (tmp_path / name).write_bytes(content)
            with pytest.raises(AudioError):
                identify(tmp_path / name)
        assert not opened()


def test_an_mp4_whose_sound_is_in_another_file_does_not_open_it(api: Api, target: Path) -> None:
    with watched(target) as opened:
        response = api.post(hostile.mp4_elsewhere(str(target)))
        assert (response.status_code, response.json()["code"]) == (422, "no_audio")
        assert not opened()


def test_these_files_do_reach_others_where_nobody_minds(tmp_path: Path, target: Path) -> None:
    """Else the tests above would show nothing."""
    playlist, alias = tmp_path / "x.m3u8", tmp_path / "x.m4a"
    playlist.write_bytes(hostile.playlists(str(target))["x.m3u8"])
    alias.write_bytes(hostile.mp4_elsewhere(str(target)))
    with watched(target) as opened:
        av.open(str(playlist)).close()
        assert opened()
    with watched(target) as opened:
        av.open(str(alias), options={"enable_drefs": "1", "use_absolute_path": "1"}).close()
        assert opened()


PEAK = """
import sys
from pathlib import Path
from transcriber.audio import identify
from transcriber.errors import AudioError

def peak_mb():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024

before = peak_mb()
try:
    answer = identify(Path(sys.argv[1]))
except AudioError as error:
    answer = error.code
print(answer, peak_mb() - before)
"""


def identified(path: Path) -> tuple[str, float]:
    """The answer, and by how many MB the memory of a process of its own grew."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    answer, grown = done.stdout.split()
    return answer, float(grown)


def test_a_tag_of_200_mb_is_not_read_into_memory(tmp_path: Path) -> None:
    hostile.giant_tag(tmp_path / "neutral", size=200_000_000)
    answer, grown_mb = identified(tmp_path / "neutral")
    assert answer == "mp3"
    assert grown_mb < 50


def test_a_million_tiny_packets_are_not_held_in_memory(tmp_path: Path) -> None:
    (tmp_path / "neutral").write_bytes(hostile.adts_crumbs(1_000_000))
    answer, grown_mb = identified(tmp_path / "neutral")
    assert answer == "not_decodable"
    assert grown_mb < 150


def test_packets_that_do_not_decode_stop_when_nobody_waits_for_them(tmp_path: Path) -> None:
    (tmp_path / "neutral").write_bytes(hostile.adts_crumbs(1_000))
    with pytest.raises(StoppedError):
        measure(tmp_path / "neutral", max_seconds=60, stopped=lambda: True)
