"""What is recorded of the machine and the code. No torch in here."""

import importlib.metadata
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from divbench import __version__
from divbench.results import Environment


def environment(seconds: float, device: str) -> Environment:
    """Versions, machine, time and command line of this process."""
    commit, dirty = code_version()
    return Environment(
        divbench=__version__,
        python=platform.python_version(),
        torch=importlib.metadata.version("torch"),
        device=device,
        platform=f"{platform.system()} {platform.machine()}",
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(seconds, 3),
        argv=tuple(argument.encode(errors="replace").decode() for argument in sys.argv),
        commit=commit,
        dirty=dirty,
    )


def code_version() -> tuple[str | None, bool | None]:
    """Commit of the checkout that this package runs from, and whether it has changes; (None, None) elsewhere."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None, None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit, bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None, None


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
