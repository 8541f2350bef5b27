"""Being stopped, by hand (Ctrl-C) or by a signal that asks to end, also where the interruption itself is lost.

Python raises KeyboardInterrupt wherever it happens to be; inside a callback of its import machinery, or under a
library's bare `except`, that is swallowed and the command would go on for an hour. So it is also written down, and
raised again when the next step of a render begins.
"""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

_heard = False
_pass_on = sys.__unraisablehook__


def listen() -> None:
    """From now on write down that we were stopped, where nobody else takes care of it.

    To be asked to end (SIGTERM, SIGHUP) is to be stopped by hand: kernels and half-made files go too. A signal that
    whoever started us had us ignore, as a shell does with Ctrl-C for what it starts in the background, stays ignored.
    """
    global _pass_on
    if threading.current_thread() is not threading.main_thread():
        return
    if sys.unraisablehook is not _unraisable:
        _pass_on, sys.unraisablehook = sys.unraisablehook, _unraisable
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)


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


def _unraisable(said: Any) -> None:
    """Python prints what it has to swallow; an interruption is written down already and comes again."""
    if not (_heard and issubclass(said.exc_type, KeyboardInterrupt)):
        _pass_on(said)
