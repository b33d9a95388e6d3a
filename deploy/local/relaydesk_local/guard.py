"""Runs one command and ends it when whoever started the guard is gone.

    python -I guard.py STOP_SIGNAL GRACE_SECONDS COMMAND...

The starter holds the other end of the guard's standard input. It closes it to stop the command; when it dies, of
whatever, the operating system closes it. So there is one way to stop and no orphan, on Linux and macOS alike; the
parent-death signal of Linux would be bound to the thread that started the command and lost by a change of user.
Prints the command's process id, then lives exactly as long as the command and exits with its code.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import psutil


def _leave_with(child: subprocess.Popen[bytes]) -> None:
    code = child.wait()
    os._exit(code if code >= 0 else 128 - code)


def _end(child: subprocess.Popen[bytes], stop_signal: int, grace: float) -> None:
    tree = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
    for process in reversed(tree):
        with suppress(psutil.NoSuchProcess):
            process.resume()  # a frozen process would not see the signal
    child.send_signal(stop_signal)
    time.sleep(grace)  # the watching thread ends us as soon as the child is gone
    for process in tree:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    child.wait()


def main() -> None:
    stop_signal, grace, *command = sys.argv[1:]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    threading.Thread(target=_leave_with, args=(child,), daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        sys.stdout.write(f"{child.pid}\n")
        sys.stdout.flush()
        sys.stdin.buffer.read()
    finally:
        with suppress(psutil.NoSuchProcess):
            _end(child, int(stop_signal), float(grace))
        time.sleep(5)  # the watching thread has the last word


if __name__ == "__main__":
    main()
