"""Run the examples of docs/api.md as one script, with only the address and the password file replaced."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from include.settings import REPOSITORY

PAGE = REPOSITORY / "docs" / "api.md"
_BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_URL, _PASSWORD_FILE = "http://127.0.0.1:8080", ".shopstream/secrets/admin-password"


def examples() -> list[str]:
    """Return every block that is meant to be run, in the order of the page."""
    return _BLOCK.findall(PAGE.read_text(encoding="utf-8"))


def run_examples(url: str, password_file: Path) -> list[str]:
    """Run the blocks one after the other in one shell against a server, and return the output of each."""
    mark = "-- end of block --"
    script = f"\necho '{mark}'\n".join(examples())
    assert _URL in script
    assert _PASSWORD_FILE in script
    script = script.replace(_URL, url).replace(_PASSWORD_FILE, str(password_file))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return [part.strip() for part in done.stdout.split(mark)]
