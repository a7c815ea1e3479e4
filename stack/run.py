"""`stack run`: the product for a person, until Ctrl-C."""

import time
from collections.abc import Mapping
from pathlib import Path

from stack import ports
from stack.service import ServiceFailedError
from stack.signals import StopRequest, stop_request
from stack.stack import Stack
from stack.workspace import Keys, claim, remembered_keys

CHECK_SECONDS = 0.2


def run(*, directory: Path, environment: Mapping[str, str]) -> int:
    """Run everything with its data in `directory`/var/stack, and return 0 once a person ended it.

    Raises WorkspaceError if that directory cannot be used, ServiceFailedError if a service ends by itself.
    """
    started = time.monotonic()
    data = directory / "var" / "stack"
    with claim(data), stop_request() as stop:
        chosen = ports.choose(ports.WELL_KNOWN)
        for name, wanted, instead in ports.replaced(ports.WELL_KNOWN, chosen):
            _say(f"Port {wanted} is taken: {name.replace('_', ' ')} uses {instead}.")
        _say("Starting Convex, gateway, transcriber and page ...")
        keys = remembered_keys(data)
        with Stack(data=data, ports=chosen, keys=keys, environment=environment) as stack:
            stack.start(give_up=stop)
            if not stop():
                _say(_welcome(stack, keys=keys, data=data, seconds=time.monotonic() - started))
            _watch(stack, stop)
            _say("\nStopping ...")
            for name in stack.stop():
                _say(f"{name} did not end in time and was killed.")
        _say("Stopped.")
    return 0


def _watch(stack: Stack, stop: StopRequest) -> None:
    while not stop.wait(CHECK_SECONDS):
        try:
            stack.check()
        except ServiceFailedError as error:
            raise ServiceFailedError(f"{error}\nEverything else was stopped.") from None


def _welcome(stack: Stack, *, keys: Keys, data: Path, seconds: float) -> str:
    return f"""
Ready after {seconds:.1f} s. Open the page and drop a recording on it:

  Page         {stack["page"].url}

  Transcriber  {stack["transcriber"].url}
  Gateway      {stack["gateway"].url}
  Admin token  {keys.admin_token}
  Convex       {stack["convex"].url} (development backend)
  Data, logs   {data} (delete it to start anew)

Ctrl-C ends everything."""


def _say(text: str) -> None:
    print(text, flush=True)
