"""Kernels that start in no time: forked from a server that has imported the science stack already.

`Server` starts and ends such a server (forkserver.py says how it works); `Kernel` is one kernel of it, seen from here.
A process finds a running server by the environment variable WATTSHIFT_WARM; `shared` starts one for this process where
there is none. Linux only: `available` says where there is no fork to be had, and then kernels start the plain way.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wattshift.report import folders

ADDRESS = "WATTSHIFT_WARM"  # where the running server listens
ENGINE = "WATTSHIFT_ENGINE"  # "plain" for kernels that start the usual way, everywhere
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
SECONDS_TO_START = 60.0
# without its own folder on the path, and, other than by the flag -P, with the path that a kernel of IPython expects
START = "import runpy, sys; del sys.path[0], sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"


def available() -> bool:
    """Whether kernels can be forked here: on Linux, unless WATTSHIFT_ENGINE says plain."""
    return sys.platform == "linux" and os.environ.get(ENGINE, "") != "plain"


def kernel_environment(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a kernel, the same from either engine.

    Numeric libraries get one thread: as many kernels run as there are cores, and results then do not depend on how many
    cores a machine has.
    """
    ours = (ADDRESS, ENGINE)
    return {name: value for name, value in (os.environ if given is None else given).items() if name not in ours} | (
        ONE_THREAD
    )


class Server:
    """A fork server and its folder. `stop`, or the end of this process, ends it and every kernel it forked."""

    def __init__(self, preload: Sequence[str] = ()) -> None:
        """Start it and return at once: it imports while we go on, and whoever asks for a kernel meanwhile waits.

        preload: modules to import instead of the science stack.
        """
        folders.sweep()
        self.owner = os.getpid()
        self.folder = folders.temporary()
        self._lock = folders.hold_own(self.folder)
        self.address = str(self.folder / "s")
        try:
            with socket.socket(socket.AF_UNIX) as listener, (self.folder / "notes").open("wb") as notes:
                listener.bind(self.address)
                listener.listen(128)
                script = Path(__file__).with_name("forkserver.py")
                self.process = subprocess.Popen(
                    [sys.executable, "-c", START, str(script), str(listener.fileno()), str(self.folder), *preload],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=notes,
                    pass_fds=[listener.fileno()],
                    start_new_session=True,  # Ctrl-C is for us; the server ends when we say so
                    env=kernel_environment(),
                )
        except BaseException:
            self._remove()
            raise

    @property
    def alive(self) -> bool:
        """Whether it runs, as far as its owner can tell."""
        return self.process.poll() is None

    def stop(self) -> None:
        """End it, its kernels and its folder; to be called more than once if need be."""
        if os.getpid() != self.owner:  # a fork of the owner owns nothing
            return
        with contextlib.suppress(OSError):
            if self.process.stdin:
                self.process.stdin.close()
        self.process.terminate()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._remove()

    def _remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


_own: Server | None = None


def address() -> str | None:
    """Where a server listens that this process may use; None where there is none."""
    found = os.environ.get(ADDRESS, "")
    return found if available() and found and Path(found).exists() else None


def shared() -> str | None:
    """The address of a running server; where there is none, one is started that ends with this process.

    None where there is no fork, or where the server cannot be started.
    """
    global _own
    if not available():
        return None
    if found := address():
        return found
    if _own is None or _own.owner != os.getpid() or not _own.alive:
        try:
            _own = Server()
        except OSError:
            return None
        atexit.register(_own.stop)
    return _own.address


@contextlib.contextmanager
def running() -> Iterator[str | None]:
    """A server for the time of a with block, known to this process and to those it starts; an outer one if there is."""
    if not available() or address():
        yield address()
        return
    try:
        server = Server()
    except OSError:  # no room, no processes left: kernels start the plain way
        yield None
        return
    before = os.environ.get(ADDRESS)
    os.environ[ADDRESS] = server.address
    try:
        yield server.address
    finally:
        os.environ.pop(ADDRESS, None)
        if before is not None:
            os.environ[ADDRESS] = before
        server.stop()


class Unavailable(OSError):
    """The server gives no kernel: it is gone, or could not fork."""


class Kernel:
    """A kernel forked by the server, as `subprocess.Popen` would show it. It lives as long as this object's connection.

    Raises Unavailable where the server does not answer.
    """

    def __init__(
        self, server: str, argv: Sequence[str], cwd: str, env: Mapping[str, str], files: Sequence[int] = ()
    ) -> None:
        self.returncode: int | None = None
        self._heard = b""
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.settimeout(SECONDS_TO_START)
            self._socket.connect(server)
            body = json.dumps({"argv": list(argv), "cwd": cwd, "env": dict(env)}).encode() + b"\n"
            socket.send_fds(self._socket, [body[:1]], list(files))
            self._socket.sendall(body[1:])
            answer = self._line()
            self.pid = int(answer["pid"])
        except (OSError, KeyError, ValueError) as error:
            self._socket.close()
            raise Unavailable(f"the fork server gives no kernel: {error!r}") from None
        self._socket.setblocking(False)

    def _line(self) -> dict[str, Any]:
        while b"\n" not in self._heard:
            body = self._socket.recv(4096)
            if not body:
                raise ConnectionResetError("it has gone")
            self._heard += body
        line, self._heard = self._heard.split(b"\n", 1)
        return dict(json.loads(line))

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs. A kernel whose server has gone is gone (-9)."""
        if self.returncode is None:
            try:
                self.returncode = int(self._line()["exit"])
            except (BlockingIOError, InterruptedError):
                return None
            except (OSError, KeyError, ValueError):
                self.returncode = -int(signal.SIGKILL)
            self._socket.close()
        return self.returncode

    def wait(self, timeout: float) -> int | None:
        """The exit code, or None when it still runs after `timeout` seconds."""
        end = time.monotonic() + timeout
        while self.poll() is None and (left := end - time.monotonic()) > 0:
            select.select([self._socket], [], [], left)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Signal the kernel and all that it started; nothing happens when it has ended."""
        if self.poll() is None:
            with contextlib.suppress(OSError):
                self._socket.sendall(json.dumps({"signal": int(number)}).encode() + b"\n")
