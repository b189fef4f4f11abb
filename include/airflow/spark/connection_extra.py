"""Define and validate the extra of the Spark connection, which decides where and how the job runs.

To move the stream to another cluster, change this connection and nothing else.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from include.errors import SettingsError
from include.platform.programs.driver_jvm import MEMORY
from include.settings import REPOSITORY

# Airflow's form for Spark connections also has these fields; nothing here uses them.
_OF_THE_FORM = {"queue", "principal", "keytab", "yarn_resourcemanager_webapp_address"}
# The operator must know these values. A different one in conf would silently win or silently be lost.
_HAS_A_KEY = {
    "spark.driver.memory": "driver-memory",
    "spark.driver.host": "driver-host",
    "spark.driver.extraJavaOptions": "driver-java-options",
    "spark.pyspark.python": "driver-python",
    "spark.kubernetes.namespace": "namespace",
    "spark.archives": "bundle",
}


class SparkExtra(BaseModel):
    """The keys of the extra; the JSON keys have hyphens where the fields have underscores."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=lambda name: name.replace("_", "-"),
        coerce_numbers_to_str=True,
    )

    deploy_mode: Literal["cluster"] = Field("cluster", description="The driver always runs on the cluster.")
    rest_port: int = Field(6066, ge=1, le=65535, description="Standalone: the master's REST port.")
    rest_scheme: Literal["http", "https"] = Field("http", description="Standalone: protocol of that port.")
    spark_binary: str = Field("spark-submit", description="Name of the submit program on Airflow's `PATH`.")
    master_ui: str | None = Field(
        None,
        description="Standalone: address of the master's web UI; default the master's host and the port in the "
        "settings.",
    )
    job_master: str = Field(
        "local[*,4]",
        description="Standalone: where the tasks run. `local[*,4]`: inside the driver, with four tries per task. "
        "`spark://master:7077`: in separate executors.",
    )
    job_home: str = Field(
        str(REPOSITORY), description="Path of this checkout on the machines that run drivers and executors."
    )
    pyspark_home: str | None = Field(
        None, description="Standalone: Spark's directory on the workers; default the directory that Airflow uses."
    )
    bundle: str | None = Field(
        None,
        description="A file made by `python -m include.platform.installation.bundle`, with code and packages for "
        "executors that have neither; Spark ships it to them.",
    )
    namespace: str | None = Field(None, description="Kubernetes: namespace of the pods.")
    driver_memory: str = Field(MEMORY, pattern="^[1-9][0-9]*[kmgt]$", description="Heap of the driver's JVM.")
    driver_java_options: str = Field("", description="More options for the driver's JVM.")
    driver_host: str | None = Field(
        None, description="Standalone: address that the driver binds to; default `127.0.0.1` for a local job master."
    )
    driver_python: str = Field(sys.executable, description="The Python of the driver and of the executors.")
    driver_environment: dict[str, str] = Field(
        {}, description="Environment variables of the driver, such as the `SHOPSTREAM_HOME` of its machine."
    )
    conf: dict[str, str] = Field({}, description="Any Spark property, such as `spark.cores.max`.")

    @model_validator(mode="after")
    def _says_everything_once(self) -> SparkExtra:
        doubled = [f"{name} (use {_HAS_A_KEY[name]})" for name in self.conf if name in _HAS_A_KEY]
        if doubled:
            raise ValueError(f"conf sets properties that have their own keys: {', '.join(doubled)}")
        return self

    @classmethod
    def of(cls, conn_id: str, extra: Mapping[str, Any]) -> SparkExtra:
        """Validate the extra of a connection.

        Raises
        ------
        SettingsError
            When a key is invalid; the message lists every fault of every key.
        """
        given = {name: value for name, value in extra.items() if name not in _OF_THE_FORM and value not in ("", None)}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            faults = [_fault(one) for one in error.errors()]
        raise SettingsError(
            f"the extra of the Airflow connection {conn_id} is wrong:\n  - " + "\n  - ".join(faults),
            "Correct it under Admin, Connections; docs/cluster.md lists its keys",
        )


def _fault(error: Any) -> str:
    if not error["loc"]:
        return str(error["msg"]).removeprefix("Value error, ")
    name = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        keys = [str(field.alias) for field in SparkExtra.model_fields.values()]
        near = difflib.get_close_matches(name, keys, n=1)
        return f"{name} is not a key" + (f"; did you mean {near[0]}?" if near else "")
    return f"{name}={error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}"
