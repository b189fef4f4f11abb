"""Generate ``docs/dags.md`` from the DAG files: ``python -m include.airflow.dag_docs [--check]``.

It parses the files as text, so it needs no Airflow and does not depend on the installation.
"""

from __future__ import annotations

import argparse
import ast
import sys
from dataclasses import dataclass
from pathlib import Path

from include.settings import REPOSITORY

DAGS_DIR = REPOSITORY / "dags"
PAGE = REPOSITORY / "docs" / "dags.md"

_HEAD = """\
# DAGs

Generated from the files in `dags/` by `python -m include.airflow.dag_docs`; do not edit. The Airflow UI shows the same
text on the page of each DAG.

| DAG | Schedule | Deadline | Purpose |
|---|---|---|---|
"""


@dataclass(frozen=True)
class DagDoc:
    """The documentation in a DAG file: its id, schedule and deadline, and its docstring, which is the runbook."""

    dag_id: str
    schedule: str
    deadline: str
    runbook: str

    @property
    def purpose(self) -> str:
        """The first line of the runbook."""
        return self.runbook.partition("\n")[0]


def read_dag(path: Path) -> DagDoc:
    """Read one DAG file, whose ``@dag`` function is named after the file.

    Raises
    ------
    ValueError
        When the file has no docstring, no function of its name, or no literal ``schedule``.
    """
    module = ast.parse(path.read_text(encoding="utf-8"))
    runbook = ast.get_docstring(module)
    if not runbook:
        raise ValueError(f"{path.name} has no docstring; begin the file with its runbook")
    functions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
    if path.stem not in functions:
        raise ValueError(f"{path.name} defines no function {path.stem}; name the @dag function after the file")
    for decorator in functions[path.stem].decorator_list:
        for node in ast.walk(decorator):
            if isinstance(node, ast.keyword) and node.arg == "schedule" and isinstance(node.value, ast.Constant):
                return DagDoc(path.stem, str(node.value.value), _deadline(module), runbook)
    raise ValueError(f"{path.name} gives its @dag no literal schedule")


def _deadline(module: ast.Module) -> str:
    """Return the constant DEADLINE as text, for example ``10 minutes``."""
    for node in module.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="DEADLINE")], value=ast.Call(keywords=[unit])):
                amount = ast.unparse(unit.value)
                return f"{amount} {str(unit.arg).removesuffix('s') if amount == '1' else unit.arg}"
    return "none"


def render(directory: Path = DAGS_DIR) -> str:
    """Return the whole page: the table of all DAGs, then each runbook."""
    dags = [read_dag(path) for path in sorted(directory.glob("*.py"))]
    rows = "".join(
        f"| [{one.dag_id}](#{one.dag_id}) | `{one.schedule}` | {one.deadline} | {one.purpose} |\n" for one in dags
    )
    return _HEAD + rows + "".join(f"\n## {one.dag_id}\n\n{one.runbook.strip()}\n" for one in dags)


def main(argv: list[str] | None = None) -> int:
    """Write the page; with ``--check``, write nothing and return 1 when the page is out of date."""
    parser = argparse.ArgumentParser(prog="python -m include.airflow.dag_docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the page is stale")
    arguments = parser.parse_args(argv)
    page = render()
    if not arguments.check:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page:
        return 0
    print(f"{PAGE} is stale; run `python -m include.airflow.dag_docs`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
