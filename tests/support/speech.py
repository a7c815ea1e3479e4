"""Recordings made of the samples: 16 kHz, mono, 16 bit."""

import io
import wave
from pathlib import Path

DATA = Path(__file__).parent.parent / "data"
RATE = 16_000


def samples(name: str) -> bytes:
    """The sound of one of the samples in tests/data, without its header."""
    with wave.open(str(DATA / name)) as file:
        sound: bytes = file.readframes(file.getnframes())
        return sound


def seconds_of_silence(seconds: int) -> bytes:
    return bytes(2 * RATE * seconds)


def wav(*pieces: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(b"".join(pieces))
    return file.getvalue()


def speech(*, times: int) -> bytes:
    """All three samples, 21 s, so many times."""
    once = [samples(name) for name in ("jfk.wav", "austen-0870.wav", "austen-0880.wav")]
    return wav(*once * times)
