"""Work that would hold up the event loop, in a thread that can be asked to stop."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

STOP_SECONDS = 3.0


async def in_thread(work: Callable[[], T], *, stop: threading.Event) -> T:
    """What `work` returns, from a thread of its own that does not outlive the process. `work` watches `stop`.

    Cancelled, this sets `stop` and waits a while for the thread to notice, as two at once would fight over the
    processor, then leaves it behind: nothing can end a thread from outside.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(outcome: T | None, error: BaseException | None) -> None:
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(outcome)  # type: ignore[arg-type]  # None only where T is None

    def run() -> None:
        outcome, problem = None, None
        try:
            outcome = work()
        except BaseException as error:  # noqa: BLE001 (whatever it is belongs to the caller)
            problem = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, outcome, problem)

    threading.Thread(target=run, name="work", daemon=True).start()
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait({done}, timeout=STOP_SECONDS)
        done.add_done_callback(lambda late: late.exception())  # marks it as seen
        raise
