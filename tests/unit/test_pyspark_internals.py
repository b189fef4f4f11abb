"""PySpark still has the private names that the stream uses, and only one module uses them. No JVM is started."""

from __future__ import annotations

import ast
import inspect
import re
from importlib.metadata import version
from pathlib import Path

import pytest
from py4j.java_gateway import CallbackServer, CallbackServerParameters
from pyspark import SparkContext
from pyspark.errors.exceptions.captured import unwrap_spark_exception
from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql.pandas.conversion import PandasConversionMixin
from pyspark.sql.pandas.serializers import ArrowCollectSerializer
from pyspark.util import _load_from_socket

from include.settings import REPOSITORY

ONLY = REPOSITORY / "jobs" / "pyspark_internals.py"
# The versions for which ONLY was written and the Spark tests were run.
VERSIONS = {"pyspark": "4.2.0", "py4j": "0.10.9.9"}
ADVICE = (
    "PySpark {pyspark} with py4j {py4j} differs from what jobs/pyspark_internals.py was written for; "
    "its docstring says what to read and to adapt"
).format(**{name: version(name) for name in VERSIONS})

# Attributes of PySpark and py4j by which Python reaches the JVM.
_ATTRIBUTES = re.compile(
    r"_j(vm|df|sc|c|conf|rdd|map|schema|sqm?|dsr|param|(spark|read|writ)\w*)|_java_\w+|_to_seq"
    r"|_sc|_ssql_ctx|_gateway(_client)?|_callback_server|_python_proxy_port"
)
# Attributes of the same form that belong to others: the Airflow provider's name for the main class of a jar.
_ALLOWED = {"_java_class"}
# Modules that are public in name only.
_MODULES = ("py4j", "pyspark.java_gateway", "pyspark.sql.pandas", "pyspark.errors.exceptions.captured", "pyspark.util")


@pytest.mark.parametrize("package", VERSIONS)
def test_the_versions_are_those_that_were_checked(package: str) -> None:
    assert version(package) == VERSIONS[package], ADVICE


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (_load_from_socket, ["sock_info", "serializer"]),
        (ArrowCollectSerializer, []),
        (ArrowCollectSerializer.load_stream, ["self", "stream"]),
        (unwrap_spark_exception, []),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_the_functions_take_the_same_arguments(function: object, parameters: list[str]) -> None:
    assert list(inspect.signature(function).parameters) == parameters, ADVICE  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "step",
    [
        "port,auth_secret,jsocket_auth_server,)=self._jdf.collectAsArrowToPython()",
        "with_load_from_socket((port,auth_secret),ArrowCollectSerializer())as",
        "isinstance(batch_or_indices,pa.RecordBatch)",
        "withunwrap_spark_exception():",
        "jsocket_auth_server.getResult()",
    ],
)
def test_pyspark_collects_in_the_same_steps(step: str) -> None:
    assert step in _packed(PandasConversionMixin._collect_as_arrow), ADVICE


def test_the_callback_server_lets_a_parameter_wrap_its_connections() -> None:
    assert "_gateway" in vars(SparkContext), ADVICE
    assert "ssl_context" in inspect.signature(CallbackServerParameters).parameters, ADVICE
    assert "self.ssl_context=self.callback_server_parameters.ssl_context" in _packed(CallbackServer), ADVICE
    assert "self.ssl_context.wrap_socket(socket_instance,server_side=True)" in _packed(CallbackServer.run), ADVICE
    assert "start_callback_server(gw.callback_server_parameters)" in _packed(ensure_callback_server_started), ADVICE


@pytest.mark.parametrize("folder", ["include", "jobs", "dags"])
def test_no_other_module_uses_private_names_of_pyspark(folder: str) -> None:
    paths = [path for path in sorted((REPOSITORY / folder).rglob("*.py")) if path != ONLY]
    assert paths
    uses = [f"{path.relative_to(REPOSITORY)}:{use}" for path in paths for use in private_uses(path)]
    assert uses == [], "put it into jobs/pyspark_internals.py, under a name that says what it does"


def test_the_check_recognizes_private_names(tmp_path: Path) -> None:
    source = tmp_path / "source.py"
    source.write_text(
        "import py4j.java_gateway\nfrom pyspark import _typing\nfrom pyspark.util import _load_from_socket\n"
        "rows._jdf\nspark.sparkContext._gateway\nself._java_class\nfrom pyspark.sql import DataFrame\nself._job\n"
        "getattr(rows, '_jvm')\n"
    )
    assert [use.partition(":")[0] for use in private_uses(source)] == ["1", "2", "3", "4", "5", "9"]


def private_uses(path: Path) -> list[str]:
    """List the private names of PySpark and py4j in a file, as ``line: name``, by line."""
    uses: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and _is_private_attribute(node.attr):
            uses.append((node.lineno, node.attr))
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "setattr", "hasattr"):
            names = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            uses += [(node.lineno, name) for name in names if _is_private_attribute(name)]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            uses += [(node.lineno, name) for name in names if _is_private_import(name)]
        elif isinstance(node, ast.Import):
            uses += [(node.lineno, alias.name) for alias in node.names if _is_private_import(alias.name)]
    return [f"{line}: {name}" for line, name in sorted(uses)]


def _is_private_attribute(name: str) -> bool:
    return _ATTRIBUTES.fullmatch(name) is not None and name not in _ALLOWED


def _is_private_import(name: str) -> bool:
    is_internal = any(name == module or name.startswith(f"{module}.") for module in _MODULES)
    return is_internal or (name.startswith("pyspark.") and "._" in name)


def _packed(function: object) -> str:
    """Return the source without white space, so that a new layout of the same code changes nothing."""
    return "".join(inspect.getsource(function).split())  # type: ignore[arg-type]
