"""What holds for every test."""

import signal


def pytest_configure() -> None:
    """Hear Ctrl-C and a terminal that closes, and let the commands that tests start hear them.

    A shell has what it starts in the background (`make test &` in a script) ignore Ctrl-C, `nohup` has it ignore the
    other, children inherit that, and a test that stops a command so would wait for the minutes that the command takes.
    """
    for name, heard in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, heard)
