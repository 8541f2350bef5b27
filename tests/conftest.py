"""What holds for every test."""

import signal


def pytest_configure() -> None:
    """Hear Ctrl-C, and let the commands that tests start hear it.

    A shell has what it starts in the background (`make test &` in a script) ignore it, children inherit that, and a
    test that stops a command by Ctrl-C would wait for the two minutes that the command takes.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
