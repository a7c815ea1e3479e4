"""One recording in the formats that recorders, phones and browsers write, made by FFmpeg's own writers."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import av
import numpy as np
from av.audio.resampler import AudioResampler

from tests.support.speech import RATE


@dataclass(frozen=True)
class Format:
    """`muxer` is FFmpeg's name of a container; an empty `sample_format` is the codec's first."""

    muxer: str
    codec: str
    rate: int = 16_000
    layout: str = "mono"
    sample_format: str = ""
    bit_rate: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    codec_options: Mapping[str, str] = field(default_factory=dict)
    live: bool = False
    """Written without a way back: no length in the header, as a browser's recorder does."""
    picture: bool = False


FORMATS = {
    "wav": Format("wav", "pcm_s16le"),
    "wav, 8 bit, 8 kHz": Format("wav", "pcm_u8", rate=8_000),
    "wav, 24 bit, 96 kHz": Format("wav", "pcm_s24le", rate=96_000, layout="stereo"),
    "wav, 32 bit": Format("wav", "pcm_s32le", rate=44_100),
    "wav, float, 5.1": Format("wav", "pcm_f32le", rate=48_000, layout="5.1"),
    "wav, u-law, 8 kHz": Format("wav", "pcm_mulaw", rate=8_000),
    "wav, a-law, 8 kHz": Format("wav", "pcm_alaw", rate=8_000),
    "w64": Format("w64", "pcm_s16le", rate=48_000),
    "aiff": Format("aiff", "pcm_s16be", rate=44_100, layout="stereo"),
    "mp3, constant rate": Format("mp3", "libmp3lame", rate=44_100, layout="stereo", bit_rate=64_000),
    "mp3, variable rate": Format("mp3", "libmp3lame", rate=22_050, codec_options={"q": "4"}),
    "m4a": Format("ipod", "aac", rate=44_100, bit_rate=64_000),
    "m4a, lossless": Format("ipod", "alac", rate=44_100),
    "aac": Format("adts", "aac", rate=48_000, layout="stereo", bit_rate=64_000),
    "ogg, Vorbis": Format(
        "ogg", "vorbis", rate=44_100, layout="stereo", codec_options={"strict": "experimental"}
    ),
    "ogg, Opus": Format("ogg", "libopus", rate=48_000, bit_rate=24_000),
    "webm, as a browser records": Format("webm", "libopus", rate=48_000, bit_rate=32_000, live=True),
    "flac": Format("flac", "flac"),
    "flac, 24 bit, 5.1": Format("flac", "flac", rate=48_000, layout="5.1", sample_format="s32"),
    "amr": Format("amr", "libopencore_amrnb", rate=8_000, bit_rate=12_200),
    "3gp": Format("3gp", "libopencore_amrnb", rate=8_000, bit_rate=12_200),
    "mp4, video with sound": Format("mp4", "aac", rate=44_100, bit_rate=64_000, picture=True),
    "mp4, in fragments": Format(
        "mp4", "aac", rate=44_100, bit_rate=64_000, options={"movflags": "frag_keyframe+empty_moov"}
    ),
    "mov, video with sound": Format("mov", "pcm_s16le", rate=48_000, layout="stereo", picture=True),
    "mkv, video with sound": Format("matroska", "ac3", rate=48_000, layout="stereo", picture=True),
}


class _OneWay(io.RawIOBase):
    """Takes bytes and cannot go back."""

    def __init__(self) -> None:
        self.written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.written += bytes(data)  # type: ignore[call-overload]
        return len(bytes(data))  # type: ignore[call-overload]


def encoded(format_: Format, sound: bytes) -> bytes:
    """`sound`, mono 16 bit at 16 kHz, as a file of this format."""
    target = _OneWay() if format_.live else io.BytesIO()
    with av.open(target, "w", format=format_.muxer, options=dict(format_.options)) as container:
        stream = container.add_stream(
            format_.codec, rate=format_.rate, layout=format_.layout, options=dict(format_.codec_options)
        )
        if format_.sample_format:
            stream.format = format_.sample_format
        if format_.bit_rate:
            stream.bit_rate = format_.bit_rate
        if format_.picture:
            _picture(container)
        _sound(container, stream, sound)
    return bytes(target.written) if isinstance(target, _OneWay) else target.getvalue()


def silent_video() -> bytes:
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as container:
        _picture(container)
    return target.getvalue()


def _sound(container: av.container.OutputContainer, stream: av.AudioStream, sound: bytes) -> None:
    frame = av.AudioFrame.from_ndarray(np.frombuffer(sound, dtype=np.int16)[None, :], "s16", "mono")
    frame.sample_rate = RATE
    frame.pts = 0
    resampler = AudioResampler(
        stream.format, stream.layout, stream.rate, stream.codec_context.frame_size or 4_096
    )
    for piece in [*resampler.resample(frame), *resampler.resample(None)]:
        container.mux(stream.encode(piece))
    container.mux(stream.encode(None))


def _picture(container: av.container.OutputContainer) -> None:
    stream = container.add_stream("mpeg4", rate=1)
    stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
    for _ in range(3):
        container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
    container.mux(stream.encode(None))
