"""Sends signed webhooks over kept connections as fast as they are answered, and says how fast that was."""

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time
from dataclasses import asdict, dataclass

KEY = b"a made-up secret of thirty bytes"


@dataclass(frozen=True, slots=True)
class Result:
    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float


def signed_request(number: int, *, run: str, host: str, body_bytes: int) -> bytes:
    """A whole HTTP/1.1 request with an id of its own."""
    data = {"jobId": f"job-{number % 64}", "n": number, "filler": "x" * body_bytes}
    body = json.dumps({"type": "transcription.job.progress", "data": data}).encode()
    event_id, sent = f"{run}-{number}", str(int(time.time()))
    signature = base64.b64encode(
        hmac.digest(KEY, f"{event_id}.{sent}.".encode() + body, hashlib.sha256)
    ).decode()
    head = (
        f"POST /webhooks/transcriber HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
        f"webhook-id: {event_id}\r\nwebhook-timestamp: {sent}\r\nwebhook-signature: v1,{signature}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def send(port: int, requests: list[bytes]) -> list[float]:
    """The seconds each request took, one after the other on one connection. Raise if one is not answered 200."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took = []
    for request in requests:
        started = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode("latin-1"))
        length = next(
            int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
        )
        await reader.readexactly(length)
        took.append(time.perf_counter() - started)
    writer.close()
    return took


async def run(port: int, *, total: int, connections: int, body_bytes: int) -> Result:
    name = str(time.time_ns())
    every = [
        signed_request(n, run=name, host=f"127.0.0.1:{port}", body_bytes=body_bytes) for n in range(total)
    ]
    started = time.perf_counter()
    shares = await asyncio.gather(*(send(port, every[first::connections]) for first in range(connections)))
    seconds = time.perf_counter() - started
    took = sorted(one for share in shares for one in share)
    return Result(total, total / seconds, took[total // 2] * 1000, took[total * 99 // 100] * 1000)


if __name__ == "__main__":
    port, total, connections, body_bytes = map(int, sys.argv[1:])
    result = asyncio.run(run(port, total=total, connections=connections, body_bytes=body_bytes))
    print(json.dumps(asdict(result)))
