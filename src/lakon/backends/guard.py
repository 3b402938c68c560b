"""Runs a command as long as the process that wants it lives: `python -m lakon.backends.guard PID COMMAND...`.

A trainer or server that outlives a killed run would go on holding its GPU, and the next run would start a second one
in the same folder. This process starts the command, watches the owner, and ends the command with all that it started
when the owner is gone. Its exit code is the command's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

_LOOK_S = 1.0
_GRACE_S = 10.0


def main(owner: int, command: list[str]) -> int:
    """Run the command; its exit code, 128 and the signal's number where a signal ended it."""
    process = subprocess.Popen(command)
    while True:
        try:
            code = process.wait(_LOOK_S)
            return code if code >= 0 else 128 - code
        except subprocess.TimeoutExpired:
            if not _is_alive(owner):
                _end_session()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _end_session() -> None:
    """End every process of this one's group, itself last."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    time.sleep(_GRACE_S)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
