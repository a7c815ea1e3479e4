"""Files that are not what they seem: made to mislead, to exhaust or to break whoever opens them."""

import gzip
import io
import random
import struct
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import av
import numpy as np

from tests.support.audio_files import FORMATS, encoded
from tests.support.speech import DATA, RATE, samples, wav

SPOKEN = samples("jfk.wav")
JFK = wav(SPOKEN)
MP3 = (DATA / "jfk.mp3").read_bytes()


def noise(length: int) -> bytes:
    return random.Random(1).randbytes(length)


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


def zipped(content: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("speech.wav", content)
    return target.getvalue()


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content)


def cut(content: bytes, share: float = 0.5) -> bytes:
    return content[: int(len(content) * share)]


def spoiled(content: bytes, *, first: float, last: float) -> bytes:
    """Random bytes between these shares of it."""
    begin, end = int(len(content) * first), int(len(content) * last)
    return content[:begin] + noise(end - begin) + content[end:]


def wav_saying(length: int, sound: bytes = SPOKEN) -> bytes:
    """Whose header says that the sound has `length` bytes."""
    whole = bytearray(wav(sound))
    whole[40:44] = struct.pack("<I", length & 0xFFFFFFFF)
    return bytes(whole)


def wav_of(*, channels: int = 1, rate: int = RATE, seconds: float = 1.0) -> bytes:
    """Of noise, its header as it is told, however odd."""
    sound = noise(int(seconds * max(1, rate)) * channels * 2)
    frame = channels * 2
    format_ = struct.pack("<HHIIHH", 1, channels, rate, (rate * frame) & 0xFFFFFFFF, frame & 0xFFFF, 16)
    body = b"WAVEfmt " + struct.pack("<I", 16) + format_ + b"data" + struct.pack("<I", len(sound)) + sound
    return b"RIFF" + struct.pack("<I", len(body)) + body


def flac_bomb(*, seconds: int) -> bytes:
    """Silence: some bytes a second."""
    target = io.BytesIO()
    with av.open(target, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=8_000, layout="mono")
        second = np.zeros((1, 8_000 * 60), dtype=np.int16)
        for minute in range(seconds // 60):
            frame = av.AudioFrame.from_ndarray(second, "s16", "mono")
            frame.sample_rate, frame.pts = 8_000, minute * 60 * 8_000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target.getvalue()


def adts_crumbs(number: int) -> bytes:
    """AAC in packets of eight bytes, none of which decodes."""
    return bytes.fromhex("fff150800 11ffc00".replace(" ", "")) * number


def wav_behind_chunks(number: int) -> bytes:
    """A second of sound behind empty chunks, whose header says ten times its length."""
    whole = wav_saying(RATE * 2 * 10, SPOKEN[: RATE * 2])
    return whole[:36] + b"JUNK\0\0\0\0" * number + whole[36:]


def changing(name: str, *rates: int) -> bytes:
    """The sample once at each rate, one file behind the other, as a broken recorder or a radio leaves it."""
    return b"".join(encoded(replace(FORMATS[name], rate=rate), SPOKEN) for rate in rates)


def giant_tag(path: Path, *, size: int) -> None:
    """An MP3 behind a picture of `size` bytes. The file has holes: little of it is on the disk."""
    lengths = bytes((size >> shift) & 127 for shift in (21, 14, 7, 0))
    frame = b"APIC" + (size - 10).to_bytes(4, "big") + b"\0\0" + b"\0image/png\0\3\0"
    with path.open("wb") as file:
        file.write(b"ID3\x03\0\0" + lengths + frame)
        file.seek(size + 10)
        file.write(MP3)


def mp4_elsewhere(target: str) -> bytes:
    """An MP4 whose sound is said to be in another file: a Macintosh alias, which FFmpeg can follow."""
    whole = bytearray(encoded(FORMATS["m4a"], SPOKEN))
    alias = _alias(target)
    at = whole.index(b"dref") + 12
    old = int.from_bytes(whole[at : at + 4], "big")
    whole[at : at + old] = alias
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        start = whole.index(box) - 4
        length = int.from_bytes(whole[start : start + 4], "big") + len(alias) - old
        whole[start : start + 4] = length.to_bytes(4, "big")
    return bytes(whole)


def _alias(target: str) -> bytes:
    path = target.encode().replace(b"/", b":")
    name = target.rsplit("/", 1)[-1].encode()[:63]
    record = (
        b"\0" * 10
        + bytes([1])
        + b"x".ljust(27, b"\0")
        + b"\0" * 12
        + bytes([len(name)])
        + name.ljust(63, b"\0")
    )
    record += b"\0" * 16 + struct.pack(">HH", 1, 1) + b"\0" * 16
    record += struct.pack(">HH", 2, len(path)) + path + b"\0" * (len(path) % 2) + b"\xff\xff\0\0" + b"\0" * 64
    return (len(record) + 12).to_bytes(4, "big") + b"alis" + b"\0\0\0\0" + record


def playlists(target: str) -> dict[str, bytes]:
    """By the name under which players know them."""
    return {
        "x.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:11\n#EXTINF:11,\n{target}\n#EXT-X-ENDLIST\n".encode(),
        "x.m3u": f"{target}\n".encode(),
        "x.pls": f"[playlist]\nFile1={target}\nNumberOfEntries=1\n".encode(),
        "x.ffconcat": f"ffconcat version 1.0\nfile '{target}'\n".encode(),
        "x.mpd": (
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT11S">'
            f'<Period><AdaptationSet mimeType="audio/mp4"><Representation id="1"><BaseURL>{target}</BaseURL>'
            "</Representation></AdaptationSet></Period></MPD>"
        ).encode(),
        "x.sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
        "x.asx": f'<asx version="3.0"><entry><ref href="{target}"/></entry></asx>'.encode(),
        "x.ram": f"rtsp://127.0.0.1/{target}\n".encode(),
        "x.mpls": b"MPLS0200" + b"\0" * 32 + target.encode(),
        "x.imf": f'<CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016">{target}</CompositionPlaylist>'.encode(),
    }
