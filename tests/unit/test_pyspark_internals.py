"""Tests that PySpark still has the private parts that the stream uses, and that only one module uses them."""

from __future__ import annotations

import ast
import inspect
from importlib.metadata import version

import py4j.java_gateway
import pytest
from pyspark.sql.pandas import conversion
from pyspark.sql.pandas.serializers import ArrowCollectSerializer
from pyspark.util import _load_from_socket

from include.settings import REPOSITORY

ONLY = REPOSITORY / "jobs" / "pyspark_internals.py"
# The attributes by which Python reaches Spark's JVM.
PRIVATE = {"_jvm", "_jdf", "_jsc", "_jsparkSession", "_jwrite", "_jreader", "_jsq", "_sc", "_gateway", "_jconf"}
ADVICE = f"PySpark {version('pyspark')} has changed: read its source, and adapt {ONLY.relative_to(REPOSITORY)}"


def test_rows_are_collected_as_before() -> None:
    source = inspect.getsource(conversion.PandasConversionMixin._collect_as_arrow)
    for part in (
        "self._jdf.collectAsArrowToPython()",
        "_load_from_socket((port, auth_secret), ArrowCollectSerializer())",
        "jsocket_auth_server.getResult()",
        "# Collect list of un-ordered batches where last element is a list of correct order indices",
    ):
        assert part in source, ADVICE
    assert list(inspect.signature(_load_from_socket).parameters) == ["sock_info", "serializer"], ADVICE
    assert list(inspect.signature(ArrowCollectSerializer.load_stream).parameters) == ["self", "stream"], ADVICE


def test_the_callback_server_wraps_its_connections_as_before() -> None:
    assert "ssl_context" in inspect.signature(py4j.java_gateway.CallbackServerParameters).parameters, ADVICE
    source = "".join(inspect.getsource(py4j.java_gateway.CallbackServer).split())
    assert "self.ssl_context.wrap_socket(socket_instance,server_side=True)" in source, ADVICE


@pytest.mark.parametrize("folder", ["include", "jobs", "dags"])
def test_no_other_module_uses_private_parts_of_pyspark(folder: str) -> None:
    offenders = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno}"
        for path in (REPOSITORY / folder).rglob("*.py")
        if path != ONLY
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if _is_private(node)
    ]
    assert offenders == [], "use or extend jobs/pyspark_internals.py"


def _is_private(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in PRIVATE
    if isinstance(node, ast.ImportFrom) and node.module:
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        return False
    return any(
        name.startswith("py4j.") or (name.startswith("pyspark.") and ("._" in name or ".pandas.serializers" in name))
        for name in names
    )
