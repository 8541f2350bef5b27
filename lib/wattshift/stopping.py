"""Being stopped by hand (Ctrl-C), also where the interruption itself is lost.

Python raises KeyboardInterrupt wherever it happens to be; inside a callback of its import machinery, or under a
library's bare `except`, that is swallowed and the command would go on for an hour. So it is also written down, and
raised again when the next step of a render begins.
"""

from __future__ import annotations

import signal
import threading
from typing import Any

_heard = False


def listen() -> None:
    """From now on write down that we were stopped, where nobody else takes care of it."""
    ours = threading.current_thread() is threading.main_thread()
    if ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)


def check() -> None:
    """Raise KeyboardInterrupt if we were stopped and are still here."""
    global _heard
    if _heard:
        _heard = False
        raise KeyboardInterrupt


def _stop(*_: Any) -> None:
    global _heard
    _heard = True
    raise KeyboardInterrupt
