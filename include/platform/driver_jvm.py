"""How the JVM of a driver is started: its options, and the cache from which it takes its classes.

Run as ``python -m include.platform.driver_jvm`` it makes that cache, once, when the virtual environment is made.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from include.errors import PlatformError
from include.platform.environment import spark_environment
from include.platform.home import make_directories
from include.platform.java import prepare_java
from include.platform.packages import package_directory
from include.settings import REPOSITORY, Settings

# What Spark's own launcher gives to every JVM (org.apache.spark.launcher.JavaModuleOptions), but a standalone worker
# does not give to a driver: Arrow needs them. Left out is the vector module, which a small Java runtime lacks.
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
    # Java chooses G1, which is for short pauses in large heaps, and costs the passage of parcels a quarter more.
    "-XX:+UseParallelGC",
    # Spark's threads survive an OutOfMemoryError, and the job would then wait for ever for a result that was lost. A
    # driver that ends is started again.
    "-XX:+ExitOnOutOfMemoryError",
    # A driver whose Python process has died waits half a minute for it in its shutdown hooks unless it is told not to.
    "-Dspark.shutdown.timeout=2s",
    # The flags of all rules make one generated method, longer than what Java compiles by default. Compiled, it halves
    # the time of a large batch.
    "-XX:-DontCompileHugeMethods",
)

# Several times what a batch needs. Java lets the heap grow to here before it looks through the old part, so a driver
# comes to this after an hour (docs/performance.md): with its Python processes it is to stay below 2 GB.
MEMORY = "1000m"
_REHEARSAL_SECONDS = 180


def cache_path() -> Path:
    """Where the virtual environment keeps the cache: it holds for these jars at this place and this Java only."""
    return Path(sys.prefix) / "driver.aot"


def driver_options() -> tuple[str, ...]:
    """The JVM options of a driver, with the cache if there is one.

    A Java that cannot use it, being another one or older than 25, goes on without it.
    """
    cache = cache_path()
    with_cache = (f"-XX:AOTCache={cache}",) if cache.exists() else ()
    return (*MODULE_OPTIONS, *_OPTIONS, *with_cache)


def make_cache(cache: Path) -> None:
    """Run the query over sample files, and let Java keep what it loaded and learned (JEP 483, 514 and 515).

    Raises
    ------
    PlatformError
        When the rehearsal fails, or Java leaves no cache: one older than 25 cannot make it.
    """
    with tempfile.TemporaryDirectory(prefix="shopstream-rehearsal-") as directory:
        settings = Settings.from_env({"SHOPSTREAM_HOME": directory})
        make_directories(settings)
        prepare_java(settings)
        # Only a rehearsal that succeeds is worth remembering.
        draft = cache.with_suffix(".draft")
        options = (*MODULE_OPTIONS, *_OPTIONS, f"-XX:AOTCacheOutput={draft}")
        command = [
            str(package_directory("pyspark") / "bin" / "spark-submit"),
            *("--master", "local[*,4]", "--driver-memory", MEMORY, "--driver-java-options", " ".join(options)),
            str(REPOSITORY / "jobs" / "rehearsal.py"),
        ]
        done = subprocess.run(
            command,
            env=dict(spark_environment(settings)),
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_REHEARSAL_SECONDS,
        )
    if done.returncode or not draft.exists():
        draft.unlink(missing_ok=True)
        raise PlatformError(f"the rehearsal ended with {done.returncode}:\n{done.stdout}", "Drivers do without it")
    draft.replace(cache)


def main() -> int:
    """Make the cache of this virtual environment; drivers that have none only start more slowly."""
    began = time.monotonic()
    try:
        make_cache(cache_path())
    except (PlatformError, OSError, subprocess.TimeoutExpired) as error:
        print(f"note: drivers will start more slowly, for lack of a cache of Java classes: {error}", file=sys.stderr)
        return 1
    print(f"A cache of Java classes for drivers is made in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
