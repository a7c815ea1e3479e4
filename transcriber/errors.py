"""What can go wrong, as types.

TranscriberError
├── SettingsError      the environment is unusable: carries every fault
├── StoreError         the database cannot be used: locked by another process, newer, unreadable
├── RequestError       the request cannot be taken: becomes a problem document
├── JobOverError       the state machine does not allow the step: the job is in a final state
├── StoppedError       whoever waited for the work has gone: nobody hears of it
└── SpeechError        transcription did not succeed: becomes the job's error, or another attempt
    └── AudioError     the recording itself is at fault: no attempt can change that
"""

from collections.abc import Mapping, Sequence


class TranscriberError(Exception):
    """The root of everything this package raises on purpose."""


class SettingsError(TranscriberError):
    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


class StoreError(TranscriberError):
    pass


class RequestError(TranscriberError):
    """An answer other than success: `status` is HTTP's, `code` is stable and for programs, `detail` for people."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})


class JobOverError(TranscriberError):
    pass


class StoppedError(TranscriberError):
    pass


class SpeechError(TranscriberError):
    """`retryable`: another attempt may succeed, not before `retry_after_seconds` if that is given.

    `pauses_engine`: neither will any other job's until then, and it is not this job's fault.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        retry_after_seconds: float | None = None,
        pauses_engine: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds
        self.pauses_engine = pauses_engine


class AudioError(SpeechError):
    pass
