"""Opens recordings by their content, never by their name: no playlist, no network, no other file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer

from transcriber.errors import AudioError, StoppedError

# Demuxers that read one file and nothing else. FFmpeg's playlists (hls, concat, dash …) would follow addresses inside.
FORMATS = "wav,w64,mp3,mov,mp4,m4a,3gp,3g2,mj2,ogg,matroska,webm,flac,aac,aiff,amr"
# Decoders of what people record with. FFmpeg has hundreds, of games and old cameras too: code that a hostile file
# could reach, and no recording needs. Those of pictures are left out as well: a video's are never decoded.
CODECS = (
    "aac,aac_latm,ac3,adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,alac,amrnb,amrwb,eac3,flac,gsm,gsm_ms,mp2,mp2float,mp3,mp3float,"
    "opus,pcm_alaw,pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_mulaw,pcm_s16be,pcm_s16le,pcm_s24be,pcm_s24le,pcm_s32be,"
    "pcm_s32le,pcm_s8,pcm_u8,speex,vorbis"
)
# A container that engines know by an extension, where its sound is of one of these codecs; else by FFmpeg's own name.
_EXTENSIONS = {"mov": ("m4a", {"aac", "alac", "mp3float"}), "matroska": ("webm", {"opus", "vorbis"})}
_OPEN_SECONDS = 10.0
# What microphones, telephones and studios use. A second at 1 Hz would be resampled to 16,000 times its size.
_LEAST_RATE, _MOST_RATE = 4_000, 768_000
# More than those that decode. A packet can have a few bytes: millions of damaged ones would keep a processor for hours.
_DAMAGED_PACKETS = 5_000


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """The file, with an audio stream in it. Raises AudioError if it is not audio, FileNotFoundError if it is gone."""
    options = {
        "format_whitelist": FORMATS,
        "protocol_whitelist": "file",
        "codec_whitelist": CODECS,
        # as far as the container is looked for: five times as much, in packets of a few bytes, takes 300 MB and seconds
        "probesize": "1048576",
        # a tag of up to 256 MB, pictures and all, would be read into memory
        "skip_initial_bytes": str(id3_bytes(path)),
    }
    try:
        container = av.open(
            str(path), mode="r", options=options, timeout=_OPEN_SECONDS, metadata_errors="ignore"
        )
    except FileNotFoundError:
        raise
    except (av.error.FFmpegError, ValueError) as error:
        raise AudioError(
            "not_audio", "the file is not audio in a format that is known here, or not whole"
        ) from error
    with container:
        _require_known_sound(container)
        yield container


def frames(container: InputContainer, *, stopped: Callable[[], bool]) -> Iterator[av.AudioFrame]:
    """What decodes of the first audio stream: a damaged packet is left out, as players do, unless most are.

    Raises AudioError, and StoppedError once `stopped()`.
    """
    bearable = _DAMAGED_PACKETS
    for decoded in _decoded(container):
        if stopped():
            raise StoppedError
        bearable += 1 if decoded else -1
        if bearable < 0:
            raise AudioError("not_decodable", "most of the sound is damaged")
        for frame in decoded:
            if not _LEAST_RATE <= frame.sample_rate <= _MOST_RATE:
                raise AudioError("not_decodable", f"nothing is recorded at {frame.sample_rate} Hz")
            yield frame


def _decoded(container: InputContainer) -> Iterator[list[av.AudioFrame]]:
    """Packet by packet: nothing of one that is damaged."""
    packets = container.demux(container.streams.audio[0])
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            decoded = packet.decode()
        except av.error.EOFError:
            return
        except av.error.PatchWelcomeError as error:
            raise AudioError("not_decodable", "the sound changes in a way that cannot be followed") from error
        except av.error.FFmpegError:
            decoded = []
        yield decoded


def id3_bytes(path: Path) -> int:
    """The length of the tag at the file's start, 0 without one."""
    with path.open("rb") as file:
        head = file.read(10)
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + sum((byte & 127) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))


def _require_known_sound(container: InputContainer) -> None:
    if not container.streams.audio:
        raise AudioError("no_audio", "the file has no audio stream")
    context = container.streams.audio[0].codec_context
    if context.name not in CODECS.split(","):
        raise AudioError("not_audio", f"the sound is in a codec that is not known here: {context.name}")


def extension(container: InputContainer) -> str:
    """The one under which engines know the container."""
    name = container.format.name.split(",")[0]
    usual, codecs = _EXTENSIONS.get(name, (name, None))
    known = codecs is None or container.streams.audio[0].codec_context.name in codecs
    return usual if known else name
