"""The warm kernels as jupyter_client knows kernels: a provisioner, and a manager and client without fixed waits.

The provisioner is an entry point of `jupyter_client.kernel_provisioners`, so any Jupyter program can use it:
`JUPYTER_DEFAULT_PROVISIONER_NAME=wattshift-warm`, or `kernel_provisioner` in a kernel's kernel.json.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from wattshift.report import warm

LAUNCH = ["-m", "ipykernel_launcher"]


class WarmProvisioner(LocalProvisioner):
    """Forks Python kernels from the server; starts all others, or all where it is not, the plain way."""

    kernel: warm.Kernel | None = None

    @property
    def has_process(self) -> bool:
        """Whether there is a kernel to speak of."""
        return self.kernel is not None or super().has_process

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Fork the kernel and wait until it listens, which is a matter of milliseconds."""
        server = warm.shared() if cmd[:3] == [sys.executable, *LAUNCH] else None
        if server is None:
            return await super().launch_kernel(cmd, **kwargs)
        self.cwd = kwargs.get("cwd") or Path.cwd()
        env = {**warm.kernel_environment(kwargs.get("env")), "JPY_PARENT_PID": str(os.getpid())}
        files = [_number(kwargs.get(name), fallback) for name, fallback in (("stdout", 1), ("stderr", 2))]
        try:
            start = asyncio.get_running_loop().run_in_executor(
                None, lambda: warm.Kernel(server, cmd[3:], str(self.cwd), env, files)
            )
            self.kernel = await start
        except warm.Unavailable:
            return await super().launch_kernel(cmd, **kwargs)
        self.pid = self.pgid = self.kernel.pid
        await self._listening()
        return self.connection_info

    async def _listening(self) -> None:
        """Wait until the kernel's last socket is there: a client that knocks too early is put off for 0.1 s."""
        about: Any = self.connection_info
        if about.get("transport") != "ipc" or self.kernel is None:
            return
        last = Path(f"{about['ip']}-{about['hb_port']}")
        end = time.monotonic() + 10
        while not last.exists() and self.kernel.poll() is None and time.monotonic() < end:
            await asyncio.sleep(0.002)

    async def poll(self) -> int | None:
        """None while the kernel runs, else its exit code."""
        return self.kernel.poll() if self.kernel else await super().poll()

    async def wait(self) -> int | None:
        """The exit code, once there is one."""
        if self.kernel is None:
            return await super().wait()
        while self.kernel.poll() is None:
            await asyncio.sleep(0.005)
        code, self.kernel = self.kernel.returncode, None
        return code

    async def send_signal(self, signum: int) -> None:
        """Signal the kernel and what it started."""
        if self.kernel is None:
            return await super().send_signal(signum)
        return self.kernel.send_signal(signum)

    async def kill(self, restart: bool = False) -> None:
        """Kill the kernel, and see it dead: so nobody has to come back and look."""
        await super().kill(restart)
        if self.kernel:
            self.kernel.send_signal(9)
            end = time.monotonic() + 5
            while self.kernel.poll() is None and time.monotonic() < end:
                await asyncio.sleep(0.002)

    async def terminate(self, restart: bool = False) -> None:
        """Ask the kernel to end."""
        if self.kernel is None:
            return await super().terminate(restart)
        return self.kernel.send_signal(15)


def _number(file: Any, fallback: int) -> int:
    """The descriptor behind a file, a number, or nothing."""
    if file is None or (isinstance(file, int) and file < 0):
        return fallback
    return file if isinstance(file, int) else int(file.fileno())


class PromptClient(AsyncKernelClient):
    """A client that knows when a kernel is ready by what it says, where the usual one waits 0.2 s for silence."""

    async def _async_wait_for_ready(self, timeout: float | None = None) -> None:
        """Return when a request has been answered on both channels. Raises RuntimeError where that does not happen."""
        end = time.monotonic() + (timeout if timeout is not None else 1e9)
        asked: set[str] = set()
        answered = False
        while True:
            asked.add(str(self.kernel_info()))
            try:
                while not answered:
                    reply = await self.shell_channel.get_msg(timeout=1)
                    answered = reply["msg_type"] == "kernel_info_reply"
                    if answered:
                        self._handle_kernel_info_reply(reply)
                while True:  # what a kernel publishes comes in order: after our own idle nothing old is left
                    said = await self.iopub_channel.get_msg(timeout=0.2)
                    done = said["msg_type"] == "status" and said["content"]["execution_state"] == "idle"
                    if done and said["parent_header"].get("msg_id") in asked:
                        return
            except Empty:
                pass
            if not await self._async_is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
            if time.monotonic() > end:
                raise RuntimeError(f"Kernel didn't respond in {timeout:.0f} seconds")

    wait_for_ready = _async_wait_for_ready


class PromptManager(AsyncKernelManager):
    """A manager whose client does not wait for silence."""

    client_class = "wattshift.report.provisioner.PromptClient"
    client_factory = PromptClient


def end(manager: Any) -> None:
    """See a manager's kernel dead, wherever its start was broken off: it must not write into a removed folder."""
    made: Any = getattr(manager, "provisioner", None)
    if isinstance(made, WarmProvisioner) and made.kernel:
        made.kernel.send_signal(9)
        made.kernel.wait(5)
    process = getattr(made, "process", None)
    if process is not None and process.poll() is None:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, 9) if os.name == "posix" else process.kill()
        process.wait()


class WarmManager(PromptManager):
    """The same, for warm kernels."""

    async def _async_pre_start_kernel(self, **kw: Any) -> Any:
        if self.provisioner is None:
            self.kernel_id = self.kernel_id or f"warm-{os.getpid()}-{time.monotonic_ns()}"
            self.provisioner = WarmProvisioner(kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self)
        return await super()._async_pre_start_kernel(**kw)
