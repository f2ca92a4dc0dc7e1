"""One recond per ledger: a lock beside the file, held as long as the process lives.

Owns `<ledger>.lock`, which holds the pid of its holder and is never removed: removing it could let two in.
May not wait for the lock. The system releases it when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recond.ports import LedgerUnavailable


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock of the ledger at `path`, which has no symbolic links.

    Raises `LedgerUnavailable` when another process has it, or when the lock's file cannot be written.
    """
    descriptor = _opened(path.with_name(f"{path.name}.lock"), path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise LedgerUnavailable(
                f"the ledger {path} is in use by another recond, pid {pid}",
                hint="stop that one, or use another ledger",
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def make(path: Path) -> None:
    """Make the ledger's file if it is not there, for the group too: SQLite itself would leave the group without.

    Raises `LedgerUnavailable` when it cannot be written.
    """
    os.close(_opened(path, path))


def _opened(file: Path, ledger: Path) -> int:
    """A descriptor of the file, made if need be; what the group may is up to the umask."""
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    except OSError as error:
        raise LedgerUnavailable(
            f"the ledger {ledger}: cannot write {file}: {error.strerror}",
            hint="create its folder and let recond's user write there",
        ) from error
