"""A process that imports the science stack once and forks a ready kernel from itself for each that asks.

Run by `warm.Server` as a script, so that neither this project's library nor the client's modules are ever loaded here:
a kernel imports the library as it lies on the disk at that moment. Linux only.

What makes the fork safe: one thread (the numeric libraries are told so before they are imported, and it is counted
afterwards), no zmq context, no event loop, no Typst, and nothing of matplotlib_inline.backend_inline, which would hook
a shell that does not exist yet. A kernel gets its own session, environment, working folder and random numbers.

Arguments: the number of a listening socket; the folder that holds everything this server and its kernels put on the
disk; modules to import, if not those below. The standard input is a pipe whose other end the owner holds: when it
closes, by whatever end the owner came to, the server kills its kernels, removes the folder and leaves. A client holds
one connection per kernel; when that closes, the kernel is killed. A kernel is also killed when the server goes.

Messages are lines of JSON. Client: {"argv", "cwd", "env"} with two file descriptors (stdout, stderr), then any number
of {"signal"}. Server: {"pid"} or {"error"}, then {"exit"} with the code that `subprocess` would give.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import selectors
import shutil
import signal
import socket
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

PRELOAD = (
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.debugger",  # with debugpy, 0.1 s; from here to tornado: what a kernel imports while it starts
    "ipykernel_launcher",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.pylabtools",
    "IPython.extensions.storemagic",
    "sqlite3",
    "tornado.locks",
    "tornado.platform.asyncio",
    "tornado.queues",
    "numpy",
    "pandas",
    "scipy.optimize",
    "scipy.special",
    "scipy.stats",
    "matplotlib.pyplot",
    "matplotlib.backends.backend_svg",
    "matplotlib.font_manager",
    "statsmodels.tsa.stattools",  # what the library uses; statsmodels.api would cost each start 0.3 s more
    "seaborn",
    "ipywidgets",
    "pydantic.fields",
    "pydantic.functional_validators",
    "pydantic.json_schema",
    "pydantic.type_adapter",
    "pydantic.types",
    "fontpkg_ibm_plex_sans_arabic",
    "yaml",
)
INLINE = "module://matplotlib_inline.backend_inline"
PR_SET_PDEATHSIG = 1
LONGEST_REQUEST = 4_000_000  # bytes; an environment has tens of thousands


def preload(names: Sequence[str]) -> None:
    """Import what kernels need, whatever of it is installed; refuse to go on where that left a second thread."""
    for name in names:
        with contextlib.suppress(ImportError):
            import_module(name)
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads != 1:
        raise SystemExit(f"the imports left {threads} threads: a fork would not be safe")
    gc.collect()
    gc.freeze()  # what is here now is shared by all kernels: the collector need not touch (and so copy) it


class Server:
    """The loop: requests in, kernels out, and who is to be told or killed when something ends."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.waiting: dict[socket.socket, bytes] = {}  # connections whose request has not come in whole
        self.files: dict[socket.socket, list[int]] = {}  # descriptors that came with it
        self.kernels: dict[socket.socket, int] = {}
        self.past: set[socket.socket] = set()  # connections whose kernel has ended
        self.selector = selectors.DefaultSelector()
        self.ended, self._wakes = os.pipe()
        os.set_blocking(self.ended, False)
        os.set_blocking(self._wakes, False)
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._leave)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.leaving = self.orphan = False
        for source in (0, self.ended, listener):
            self.selector.register(source, selectors.EVENT_READ)

    def _leave(self, *_: Any) -> None:
        self.leaving = True

    def serve(self) -> dict[str, Any] | None:
        """Serve until the owner is gone: then None. In a forked kernel: its request."""
        while not self.leaving:
            for key, _ in self.selector.select():
                if key.fileobj == 0:
                    self.orphan = True
                    self.stop()
                    return None
                if key.fileobj == self.ended:
                    self._reap()
                elif key.fileobj is self.listener:
                    self._accept()
                else:
                    request = self._hear(key.fileobj)  # type: ignore[arg-type]
                    if request is not None:
                        return request
        self.stop()
        return None

    def stop(self) -> None:
        """Kill every kernel."""
        for pid in self.kernels.values():
            _kill(pid, signal.SIGKILL)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self.listener.accept()
            connection.settimeout(5)
            self.waiting[connection] = b""
            self.files[connection] = []
            self.selector.register(connection, selectors.EVENT_READ)

    def _hear(self, connection: socket.socket) -> dict[str, Any] | None:
        """Take in what a client sends; fork when a request is whole. In the new kernel: the request."""
        try:
            if connection in self.waiting:
                body, files, _, _ = socket.recv_fds(connection, 65_536, 2)
                self.files[connection] += files
            else:
                body = connection.recv(65_536)
        except OSError:
            body = b""
        if not body:
            self._forget(connection)
            return None
        if connection in self.past:  # a signal that crossed with the news of the end
            return None
        if connection in self.kernels:
            for line in body.splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    _kill(self.kernels[connection], int(json.loads(line)["signal"]))
            return None
        self.waiting[connection] = self.waiting.get(connection, b"") + body
        if not self.waiting[connection].endswith(b"\n"):
            if len(self.waiting[connection]) > LONGEST_REQUEST:
                self._forget(connection)
            return None
        try:
            request: dict[str, Any] = json.loads(self.waiting.pop(connection))
            request["files"] = self.files[connection]
            parent = os.getpid()
            pid = os.fork()
        except (OSError, ValueError, TypeError) as error:
            _tell(connection, error=str(error))
            self._forget(connection)
            return None
        if pid == 0:
            self._let_go(request["files"])
            return {**request, "parent": parent}
        for file in self.files.pop(connection):
            os.close(file)
        self.kernels[connection] = pid
        _tell(connection, pid=pid)
        return None

    def _forget(self, connection: socket.socket) -> None:
        """A client has gone: so does its kernel."""
        self.waiting.pop(connection, None)
        self.past.discard(connection)
        for file in self.files.pop(connection, []):
            os.close(file)
        pid = self.kernels.pop(connection, None)
        if pid is not None:
            _kill(pid, signal.SIGKILL)
        self.selector.unregister(connection)
        connection.close()

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self.ended, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for connection in [c for c, kernel in self.kernels.items() if kernel == pid]:
                del self.kernels[connection]  # from now on nobody can signal a number that may be somebody else's
                self.past.add(connection)
                _tell(connection, exit=os.waitstatus_to_exitcode(status))

    def _let_go(self, given: Sequence[int]) -> None:
        """In a new kernel: close whatever belongs to the server or to other clients."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for other in {*self.kernels, *self.waiting, *self.files, *self.past}:
            other.close()
        for file in {file for files in self.files.values() for file in files} - {*given}:
            os.close(file)
        self.selector.close()
        self.listener.close()
        os.close(self.ended)
        os.close(self._wakes)


def _tell(connection: socket.socket, **message: Any) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps(message).encode() + b"\n")


def _kill(pid: int, number: int) -> None:
    """Signal a kernel with all that it started; it may not have made its own session yet, or have none left."""
    with contextlib.suppress(OSError):
        os.killpg(pid, number)
        return
    with contextlib.suppress(OSError):
        os.kill(pid, number)


def become_kernel(request: dict[str, Any]) -> None:
    """Turn this forked process into the kernel that was asked for; returns when the kernel ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    if os.getppid() != request["parent"]:  # it went before the line above could take hold
        os._exit(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    given = [*request["files"], nothing, nothing][:2]
    for number, file in enumerate((nothing, *given)):
        os.dup2(file, number)
    for file in {nothing, *given}:
        os.close(file)
    os.environ.clear()
    os.environ.update(ADDED | request["env"])
    time.tzset()
    os.chdir(request["cwd"])
    _as_if_imported_here()
    gc.enable()
    import ipykernel_launcher  # type: ignore[import-untyped]
    from ipykernel import kernelapp

    arguments = [*request["argv"], f"--IPKernelApp.parent_handle={request['parent']}"]
    sys.argv = [ipykernel_launcher.__file__, *request["argv"]]
    kernelapp.launch_new_instance(argv=arguments)


def _as_if_imported_here() -> None:
    """Give the libraries what they would have taken from the system, the environment and the working folder."""
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # else every kernel would draw the same numbers
    if matplotlib := sys.modules.get("matplotlib"):
        os.environ.setdefault("MPLBACKEND", INLINE)  # ipykernel does the same, but after the import
        found = matplotlib.matplotlib_fname()
        if not Path(found).samefile(SETTINGS):
            matplotlib.rc_file(found)
        matplotlib.rcParams["backend"] = os.environ["MPLBACKEND"]


SETTINGS = ""  # the matplotlibrc that was read while importing
ADDED: dict[str, str] = {}  # what imports put into the environment, as debugpy does


def main() -> None:
    """Import, serve, and clean up; in a kernel, be one."""
    global SETTINGS
    listener, folder = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
    listener.setblocking(False)
    os.chdir("/")
    gc.disable()
    request = server = None
    try:
        before = set(os.environ)
        preload(sys.argv[3:] or PRELOAD)
        ADDED.update((name, value) for name, value in os.environ.items() if name not in before)
        if matplotlib := sys.modules.get("matplotlib"):
            SETTINGS = matplotlib.matplotlib_fname()
        server = Server(listener)
        request = server.serve()
    finally:
        if (
            server and server.orphan
        ):  # else clients that go on without us may have files there, and the owner will do it
            shutil.rmtree(folder, ignore_errors=True)
    if request is not None:
        become_kernel(request)


if __name__ == "__main__":
    main()
