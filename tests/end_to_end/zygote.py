"""Starts daemons by forking itself, with everything imported: what takes a second otherwise takes some milliseconds.

`python zygote.py CONFIG` reads lines. `start OUTPUT` forks a daemon whose output goes to that file and answers with its
pid, `wait` waits for its end and answers with its status; the end of the input ends this. The daemon that runs is the
real one: this process opens no ledger, no socket and no event loop before it forks.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import recond.web.app
from recond.config import load
from recond.daemon import main


def run(config: Path, output: str) -> None:
    """The child: what `recond run` does."""
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os._exit(main(load(config, os.environ, None)))


def serve(config: Path) -> None:
    """The parent: one child at a time."""
    child = 0
    for line in sys.stdin:
        command, _, output = line.strip().partition(" ")
        if command == "start":
            child = os.fork()
            if child == 0:
                run(config, output)
            answer(child)
        else:
            answer(os.waitpid(child, 0)[1])


def answer(number: int) -> None:
    """Tell the one who asked."""
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    assert recond.web.app
    serve(Path(sys.argv[1]))
