"""A machine with a real systemd on it: this one, with an overlay over its disk, booted by systemd-nspawn.

What is written there goes to memory and is gone afterwards; what runs there ends with the block that booted it. The
network is shared, so that a simulator on loopback can be reached.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import recond

ROOT = Path(__file__).parents[2]
PYTHON = Path(f"/usr/bin/python3.{sys.version_info.minor}")
UID, BOT_UID = 64990, 64991
PATIENCE_S = 20.0
# Runs the package of this tree with the libraries of this interpreter, whose own folder the unit may not see.
PROGRAM = """#!/opt/recond/venv/bin/python
import sys
sys.path.insert(0, "/opt/recond/app")
from recond.cli import main
main()
"""


@dataclass(frozen=True)
class Container:
    """A booted machine: `root` is its disk as seen from here, `init` its process 1."""

    root: Path
    init: int

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command in it; what it printed."""
        enter = ("nsenter", "-t", str(self.init), "-m", "-p", "-u", "-i", "-C", "-n", "--")
        done = subprocess.run((*enter, *command), capture_output=True, text=True, timeout=60, check=False)
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return (done.stdout + done.stderr).strip()

    def show(self, *names: str) -> dict[str, str]:
        """Properties of the unit."""
        shown = self.run("systemctl", "show", "recond", *(f"--property={name}" for name in names))
        return dict(line.split("=", 1) for line in shown.splitlines())

    def journal(self) -> str:
        """What the unit, and systemd about it, has said."""
        return self.run("journalctl", "--unit=recond", "--output=short-precise", "--no-pager", check=False)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of root's."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)


def missing() -> str | None:
    """What is lacking to boot one, None when nothing is."""
    if os.geteuid() != 0:
        return "root"
    programs = [name for name in ("systemd-nspawn", "nsenter", "mount", "umount") if shutil.which(name) is None]
    if programs:
        return f"{', '.join(programs)} (Debian's package systemd-container brings systemd-nspawn)"
    if not PYTHON.exists():
        return f"{PYTHON}, since a hardened unit cannot run an interpreter from somebody's home"
    if not os.access("/dev/shm", os.W_OK):
        return "/dev/shm"
    return None


@contextlib.contextmanager
def booted() -> Iterator[Container]:
    """Boot one with the shipped unit installed and not started. Skips the test, and says so, where that cannot be."""
    lacking = missing()
    if lacking is not None:
        pytest.skip(f"NOT TESTED HERE: the unit under a real systemd needs {lacking}")
    with contextlib.ExitStack() as undo:
        folder = Path(tempfile.mkdtemp(prefix="recond-", dir="/dev/shm"))
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        upper, work, root = (folder / name for name in ("upper", "work", "root"))
        for each in (upper, work, root):
            each.mkdir()
        layers = f"lowerdir=/,upperdir={upper},workdir={work}"
        mounted = subprocess.run(
            ("mount", "-t", "overlay", "overlay", "-o", layers, root), capture_output=True, text=True, check=False
        )
        if mounted.returncode != 0:
            pytest.skip(f"NOT TESTED HERE: the unit under a real systemd needs overlay mounts: {mounted.stderr}")
        undo.callback(subprocess.run, ("umount", "--lazy", root), check=False)
        install(root)
        with (folder / "boot.log").open("wb") as log:
            spawn = subprocess.Popen(
                (
                    *("systemd-nspawn", "--quiet", f"--directory={root}", f"--machine=recond-{os.getpid()}"),
                    *("--register=no", "--keep-unit", "--link-journal=no"),
                    f"--bind-ro={sysconfig.get_path('purelib')}:{packages(Path('/opt/recond/venv'))}",
                    *("--boot", "systemd.unit=basic.target"),
                ),
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        undo.callback(halt, spawn)
        init = process_one(spawn, lambda: (folder / "boot.log").read_text(errors="replace"))
        container = Container(root, init)
        wait(lambda: container.run("systemctl", "is-system-running", check=False) in ("running", "degraded"), "boot")
        yield container


def packages(venv: Path) -> Path:
    """Where a virtual environment has its libraries."""
    return venv / f"lib/python3.{sys.version_info.minor}/site-packages"


def install(root: Path) -> None:
    """What an operator does: the program, the unit, its user, and a bot in its group."""
    venv = root / "opt/recond/venv"
    subprocess.run((PYTHON, "-m", "venv", "--without-pip", venv), check=True)
    shutil.copytree(Path(recond.__file__).parent, root / "opt/recond/app/recond")
    program = venv / "bin/recond"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    shutil.copy(ROOT / "systemd/recond.service", root / "etc/systemd/system/recond.service")
    nowhere = ":/nonexistent:/usr/sbin/nologin"
    for name, lines in (
        ("passwd", (f"recond:x:{UID}:{UID}:{nowhere}", f"bot:x:{BOT_UID}:{BOT_UID}:{nowhere}")),
        ("group", (f"recond:x:{UID}:bot", f"bot:x:{BOT_UID}:")),
    ):
        with (root / "etc" / name).open("a") as file:
            file.writelines(f"{line}\n" for line in lines)


def process_one(spawn: subprocess.Popen[bytes], log: Callable[[], str]) -> int:
    """The pid of the machine's process 1, as seen from here."""

    def found() -> int | None:
        assert spawn.poll() is None, f"systemd-nspawn ended:\n{log()}"
        children = Path(f"/proc/{spawn.pid}/task/{spawn.pid}/children").read_text().split()
        inits = [int(child) for child in children if Path(f"/proc/{child}/comm").read_text().strip() == "systemd"]
        return inits[-1] if inits else None

    wait(found, "process 1")
    init = found()
    assert init is not None
    return init


def halt(spawn: subprocess.Popen[bytes]) -> None:
    """Shut the machine down; what does not heed that is killed with everything in it."""
    children = Path(f"/proc/{spawn.pid}/task/{spawn.pid}/children")
    inside = [int(child) for child in children.read_text().split()] if children.exists() else []
    spawn.terminate()
    try:
        spawn.wait(5)
    except subprocess.TimeoutExpired:
        for pid in (*inside, spawn.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        spawn.wait()
    for tree in ("systemd", "unified"):
        for group in ("payload/init.scope", "payload", "supervisor"):
            with contextlib.suppress(OSError):
                (Path("/sys/fs/cgroup") / tree / group).rmdir()


def wait(condition: Callable[[], object], what: str) -> None:
    """Wait until the condition holds."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {PATIENCE_S:g} s for {what}"
        time.sleep(0.05)
