"""The transcriber under measurement: a process of its own, on a data folder of its own."""

import http.client
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.bench.gateway import free_port
from tests.bench.place import Place
from tests.bench.processes import cpu_seconds, memory_mb, wait_until_answers
from tests.support.waiting import eventually

BOUNDARY = "made-up-boundary"
OVER = {"completed", "failed", "cancelled"}


@dataclass(frozen=True, slots=True)
class Transcriber:
    port: int
    process: "subprocess.Popen[str]"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.process.pid)

    def memory_mb(self, *, peak: bool = False) -> float:
        return memory_mb(self.process.pid, peak=peak)

    def completed(self, recording: bytes, job_id: str, *, seconds: float = 60) -> dict[str, Any]:
        """The job of this recording, once it is completed. Raises RuntimeError if it ends otherwise."""
        send(self.port, recording, job_id=job_id)

        def over() -> dict[str, Any] | None:
            job: dict[str, Any] = httpx.get(f"{self.url}/v1/jobs/{job_id}").raise_for_status().json()
            return job if job["status"] in OVER else None

        job = eventually(over, seconds=seconds, pause_seconds=0.1)
        if job["status"] != "completed":
            raise RuntimeError(f"job {job_id} is {job['status']}: {job['error']}")
        return job


@contextmanager
def transcriber(place: Place, data: Path, **environment: str) -> Iterator[Transcriber]:
    """With the local engine unless told otherwise. Its log lines go to /dev/null."""
    port = free_port()
    variables = {"TRANSCRIBER_DATA_DIR": str(data), "TRANSCRIBER_PORT": str(port), "GROQ_API_KEY": ""}
    with place.processes.python("transcriber", "serve", environ={**variables, **environment}) as process:
        wait_until_answers(process, port, "/readyz")
        yield Transcriber(port, process)


def send(port: int, recording: bytes, **fields: str) -> None:
    """Returns once it is answered 202. Raises RuntimeError if it is not."""
    parts = [
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    parts.append(f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="speech"\r\n\r\n')
    body = "".join(parts).encode() + recording + f"\r\n--{BOUNDARY}--\r\n".encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(
            "POST", "/v1/jobs", body, {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        )
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    if response.status != 202:
        raise RuntimeError(f"answered {response.status}: {json.loads(answer)}")
