"""Define how the JVM of a driver starts: its options, and the cache from which it loads its classes.

``python -m include.platform.programs.driver_jvm`` creates that cache, once, when the virtual environment is created.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from include.errors import PlatformError
from include.platform.installation.java import prepare_java
from include.platform.installation.packages import package_directory
from include.platform.instance.environment import spark_environment
from include.platform.instance.home import make_directories
from include.settings import REPOSITORY, Settings

# Spark's own launcher gives these options to every JVM (org.apache.spark.launcher.JavaModuleOptions), but a standalone
# worker does not give them to a driver. Arrow needs them. The vector module is left out: a small Java runtime lacks it.
MODULE_OPTIONS = (
    "-XX:+IgnoreUnrecognizedVMOptions",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.lang.invoke=ALL-UNNAMED",
    "--add-opens=java.base/java.lang.reflect=ALL-UNNAMED",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/java.net=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent.atomic=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.cs=ALL-UNNAMED",
    "--add-opens=java.base/sun.security.action=ALL-UNNAMED",
    "--add-opens=java.base/sun.util.calendar=ALL-UNNAMED",
    "--add-opens=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dio.netty.allocator.type=pooled",
    "-Dio.netty.handler.ssl.defaultEndpointVerificationAlgorithm=NONE",
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
)

_OPTIONS = (
    # Java's default is G1, which is made for short pauses in large heaps. With it, passing task results takes a quarter
    # longer.
    "-XX:+UseParallelGC",
    # Spark's threads survive an OutOfMemoryError, and the job would then wait for ever for a result that was lost.
    # A driver that exits is restarted.
    "-XX:+ExitOnOutOfMemoryError",
    # By default, the shutdown hooks of a driver whose Python process has died wait half a minute for it.
    "-Dspark.shutdown.timeout=2s",
    # The flags of all rules become one generated method, longer than Java compiles by default. Compiling it halves the
    # time of a large batch.
    "-XX:-DontCompileHugeMethods",
)

# Several times what a batch needs. Java lets the heap grow to this limit before it collects the old generation, so a
# driver reaches it after an hour (docs/performance.md). Together with its Python processes it should stay below 2 GB.
MEMORY = "1000m"
_REHEARSAL_SECONDS = 180


def cache_path() -> Path:
    """Return the path of the cache, which is valid only for the jars at this place and for this Java."""
    return Path(sys.prefix) / "driver.aot"


def driver_options() -> tuple[str, ...]:
    """Return the JVM options of a driver, including the cache if there is one.

    A Java that cannot use the cache, because it is another one or older than 25, runs without it.
    """
    cache = cache_path()
    with_cache = (f"-XX:AOTCache={cache}",) if cache.exists() else ()
    return (*MODULE_OPTIONS, *_OPTIONS, *with_cache)


def joined(options: Iterable[str], more: str = "") -> str:
    """Join options, and ``more``, an already joined string, into one string that Spark splits again."""
    return " ".join([*map(_quoted, options), *filter(None, [more.strip()])])


def _quoted(option: str) -> str:
    """Quote an option for Spark: the path of the checkout may contain a space."""
    if not any(character in option for character in " \t'\"\\"):
        return option
    return '"' + option.replace("\\", "\\\\").replace('"', '\\"') + '"'


def make_cache(cache: Path) -> None:
    """Run the query over sample files and let Java store loaded classes and profiles (JEP 483, 514 and 515).

    Raises
    ------
    PlatformError
        When the rehearsal fails, or Java leaves no cache, as versions older than 25 do.
    """
    with tempfile.TemporaryDirectory(prefix="shopstream-rehearsal-") as directory:
        settings = Settings.from_env({"SHOPSTREAM_HOME": directory})
        make_directories(settings)
        prepare_java(settings)
        # Only a successful rehearsal may replace the cache.
        draft = cache.with_suffix(".draft")
        # A killed rehearsal leaves its temporary files in the directory, which is deleted in any case.
        options = (*MODULE_OPTIONS, *_OPTIONS, f"-XX:AOTCacheOutput={draft}", f"-Djava.io.tmpdir={directory}")
        command = [
            str(package_directory("pyspark") / "bin" / "spark-submit"),
            *(
                "--master",
                "local[*,4]",
                "--driver-memory",
                MEMORY,
                "--driver-java-options",
                joined(options),
            ),
            str(REPOSITORY / "jobs" / "rehearsal.py"),
        ]
        try:
            status, output = _rehearse(command, {**spark_environment(settings), "TMPDIR": directory}, directory)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    if status or not draft.exists():
        draft.unlink(missing_ok=True)
        raise PlatformError(f"the rehearsal ended with {status}:\n{output}", "Drivers run without the cache")
    draft.replace(cache)


def _rehearse(command: list[str], environment: dict[str, str], directory: str) -> tuple[int, str]:
    """Run a rehearsal to its end; kill its whole process group on a timeout or any other failure."""
    with subprocess.Popen(
        command,
        env=environment,
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=_REHEARSAL_SECONDS)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise PlatformError(
                    f"the rehearsal did not end within {_REHEARSAL_SECONDS} s",
                    "Run `python -m include.platform.programs.driver_jvm` when the machine is less busy",
                ) from error
            raise
    return process.returncode, output


def main() -> int:
    """Create the cache of this virtual environment; drivers without it only start more slowly."""
    began = time.monotonic()
    try:
        make_cache(cache_path())
    except (PlatformError, OSError) as error:
        print(f"note: drivers will start more slowly, without a cache of Java classes: {error}", file=sys.stderr)
        return 1
    print(f"Created a cache of Java classes for drivers in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
