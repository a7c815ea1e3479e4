"""Reads a multipart body as it comes: the file goes to disk, never whole into memory."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from transcriber.errors import RequestError

MAX_FIELD_BYTES = 16_384
MAX_PARTS = 32
MAX_HEADER_BYTES = 8_192
WRITE_BYTES = 1_048_576
# What boundaries, headers and fields may add to the file.
MAX_OVERHEAD_BYTES = 1_048_576
IDLE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Form:
    """The text fields in their order; of the file, its digest and size, or None if there was none."""

    fields: tuple[tuple[str, str], ...]
    file_sha256: str | None
    file_bytes: int


async def read_form(
    body: AsyncIterator[bytes],
    *,
    content_type: str,
    destination: Path,
    max_file_bytes: int,
    require_room: Callable[[int], None],
) -> Form:
    """Writes the part named `file` to `destination`. `require_room` raises where so many bytes more are too many for the disk.

    Raises RequestError: 400 if the body is not what it says, 408 if it stalls, 413 if the file or the whole is too large.
    """
    with destination.open("xb") as file:
        parts = _Parts(max_file_bytes=max_file_bytes)
        parser = _parser(content_type, parts)
        try:
            async for chunk in _bounded(_timely(body), max_file_bytes):
                parser.write(chunk)
                if len(parts.unwritten) >= WRITE_BYTES:
                    require_room(len(parts.unwritten))
                    await asyncio.to_thread(_write, file, parts)
            parser.finalize()
        except FormParserError as error:
            raise RequestError(400, "malformed", f"the multipart body cannot be read: {error}") from error
        await asyncio.to_thread(_write, file, parts)
    return parts.form()


async def _timely(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The body's pieces. Raises RequestError, 408, where none comes for too long."""
    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                chunk = await anext(body, None)
        except TimeoutError as error:
            raise RequestError(408, "too_slow", f"nothing was received for {IDLE_SECONDS:.0f} s") from error
        if chunk is None:
            return
        yield chunk


async def _bounded(body: AsyncIterator[bytes], max_file_bytes: int) -> AsyncIterator[bytes]:
    """The same pieces. What stands around the parts counts too: nothing else bounds that where no length is announced."""
    size = 0
    async for chunk in body:
        size += len(chunk)
        if size > max_file_bytes + MAX_OVERHEAD_BYTES:
            raise too_large(max_file_bytes)
        yield chunk


def _write(file: BinaryIO, parts: "_Parts") -> None:
    file.write(parts.unwritten)
    parts.sha256.update(parts.unwritten)
    parts.unwritten = bytearray()


def _parser(content_type: str, parts: "_Parts") -> MultipartParser:
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise RequestError(400, "malformed", "send the recording as multipart/form-data, in the field file")
    try:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": parts.begin,
                "on_header_field": parts.header_name,
                "on_header_value": parts.header_value,
                "on_header_end": parts.header_end,
                "on_headers_finished": parts.headers_end,
                "on_part_data": parts.data,
                "on_part_end": parts.end,
                "on_end": parts.finish,
            },
        )
    except FormParserError as error:
        raise RequestError(400, "malformed", f"the boundary cannot be used: {error}") from error


@dataclass(slots=True)
class _Parts:
    """What the parser calls, and what has been read so far."""

    max_file_bytes: int
    sha256: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    unwritten: bytearray = field(default_factory=bytearray)
    _fields: list[tuple[str, str]] = field(default_factory=list)
    _count: int = 0
    _file_bytes: int | None = None
    _finished: bool = False
    _disposition: bytes = b""
    _header: bytearray = field(default_factory=bytearray)
    _header_value: bytearray = field(default_factory=bytearray)
    _name: str = ""
    _value: bytearray = field(default_factory=bytearray)

    def form(self) -> Form:
        if not self._finished:
            raise RequestError(400, "malformed", "the multipart body ends early")
        return Form(
            fields=tuple(self._fields),
            file_sha256=None if self._file_bytes is None else self.sha256.hexdigest(),
            file_bytes=self._file_bytes or 0,
        )

    def begin(self) -> None:
        self._count += 1
        if self._count > MAX_PARTS:
            raise RequestError(400, "malformed", f"the form has more than {MAX_PARTS} parts")
        self._disposition, self._name, self._value = b"", "", bytearray()

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._bound(self._header, MAX_HEADER_BYTES, "a part's header")

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]
        self._bound(self._header_value, MAX_HEADER_BYTES, "a part's header")

    def header_end(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = bytes(self._header_value)
        self._header, self._header_value = bytearray(), bytearray()

    def headers_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = _text(options.get(b"name", b""), "a field's name")
        if not self._name:
            raise RequestError(400, "malformed", "a part of the form has no name")
        if self._name == "file":
            if self._file_bytes is not None:
                raise RequestError(400, "malformed", "the form has more than one file")
            self._file_bytes = 0

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._name != "file":
            self._value += data[start:end]
            self._bound(
                self._value,
                MAX_FIELD_BYTES,
                f"the field {self._name}",
                advice=": a recording goes in the field file",
            )
            return
        self._file_bytes = (self._file_bytes or 0) + end - start
        if self._file_bytes > self.max_file_bytes:
            raise too_large(self.max_file_bytes)
        self.unwritten += data[start:end]

    def end(self) -> None:
        if self._name != "file":
            self._fields.append((self._name, _text(bytes(self._value), f"the field {self._name}")))

    def finish(self) -> None:
        self._finished = True

    def _bound(self, value: bytearray, limit: int, what: str, *, advice: str = "") -> None:
        if len(value) > limit:
            raise RequestError(400, "malformed", f"{what} is longer than {limit} bytes{advice}")


def too_large(max_file_bytes: int) -> RequestError:
    return RequestError(413, "too_large", f"the recording is larger than {max_file_bytes} bytes")


def _text(value: bytes, what: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise RequestError(400, "malformed", f"{what} is not UTF-8") from error
