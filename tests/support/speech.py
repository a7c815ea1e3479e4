"""Recordings made of the samples: 16 kHz, mono, 16 bit."""

import io
import wave
from pathlib import Path

DATA = Path(__file__).parent.parent / "data"
RATE = 16_000
SAID = {
    "jfk.wav": "And so my fellow Americans, ask not what your country can do for you, ask what you can do for your country.",
    "jfk.mp3": "And so my fellow Americans, ask not what your country can do for you, ask what you can do for your country.",
    "austen-0870.wav": "and mister john dashwood had then leisure to consider how much there might be prudently in his power to do for them",
    "austen-0880.wav": "he was not an ill disposed young man",
}
"""What is said in the samples."""
ONCE = ("jfk.wav", "austen-0870.wav", "austen-0880.wav")


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
    return wav(*[samples(name) for name in ONCE] * times)


def said(*, times: int) -> str:
    """What is said in `speech`."""
    return " ".join([SAID[name] for name in ONCE] * times)
