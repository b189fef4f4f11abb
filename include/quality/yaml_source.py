"""Parse YAML with line numbers, and report faults as ``file:line: message; did you mean ...``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

# The entries of a mapping: {key: (its node, the node of its value)}.
Entries = dict[str, tuple[Node, Node]]

_BOOL = "tag:yaml.org,2002:bool"
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    """A YAML loader that keeps NO, on and 2026-01-01 as strings."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the name and form that PyYAML asks for
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_BOOL, _TIMESTAMP)]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(_BOOL, re.compile("^(?:true|false)$"), list("tf"))


class YamlSource:
    """One YAML file and the faults found in it so far.

    Parameters
    ----------
    path:
        The file; messages contain the path as given.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.faults: list[str] = []
        self._loader: _Loader | None = None

    def root(self) -> Node | None:
        """Return the document of the file; None, with a fault, when the file is empty or not valid YAML."""
        try:
            self._loader = _Loader(self.path.read_bytes())
            node = self._loader.get_single_node()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self.faults.append(f"{self.path}:{mark.line + 1 if mark else 1}: not YAML: {error.problem}")
            return None
        except yaml.YAMLError as error:
            self.faults.append(f"{self.path}:1: not a text file: {error}")
            return None
        except OSError as error:
            self.faults.append(f"{self.path}:1: cannot be read: {error.strerror}")
            return None
        if node is None:
            self.faults.append(f"{self.path}:1: the file is empty")
        return node

    def fault(self, node: Node, what: str) -> None:
        """Add a fault at the line of ``node``."""
        self.faults.append(f"{self.path}:{line_of(node)}: {what}")

    def entries(self, node: Node, what: str) -> Entries:
        """Return the entries of a mapping; none, with a fault, for any other node."""
        if not isinstance(node, MappingNode):
            self.fault(node, f"{what} must be a list of `key: value` lines")
            return {}
        found: Entries = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode) or not key.value:
                self.fault(key, "a key must be a word")
            elif key.value in found:
                self.fault(key, f"{key.value} is given twice, first in line {line_of(found[key.value][0])}")
            else:
                found[key.value] = (key, value)
        return found

    def value(self, node: Node) -> Any:
        """Return the Python value of a node; None, with a fault, when it cannot be converted."""
        assert self._loader is not None, "the root is read first"
        try:
            return self._loader.construct_object(node, deep=True)
        except yaml.MarkedYAMLError as error:
            self.fault(node, str(error.problem))
            return None
        except (ValueError, TypeError, KeyError, IndexError) as error:
            # PyYAML converts explicitly tagged values, such as `!!int abc`, without looking at them.
            self.fault(node, f"is not what its tag {node.tag} says: {error}")
            return None

    def text(self, node: Node, what: str) -> str:
        """Return the text of a node, stripped; an empty string, with a fault, for any other or an empty value."""
        value = self.value(node)
        if isinstance(value, str) and value.strip():
            return value.strip()
        self.fault(node, f"{what} must be a non-empty string")
        return ""


def line_of(node: Node) -> int:
    """Return the line on which a node begins, counted from 1."""
    return int(node.start_mark.line) + 1


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a message: the closest known word, or else all known words if they are few."""
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; known are {', '.join(known)}" if len(known) <= 12 else ""
