"""Which nodes of a model stay in fp32: by the node's name, or by the operator's. Not for: which must (half.py)."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from seatrial.errors import PlanError, did_you_mean


@dataclass(frozen=True)
class Recipe:
    """nodes: names, in which * stands for any text; operators: such as Softmax. What either names stays in fp32."""

    nodes: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()

    def keeps(self, node: Any) -> bool:
        return node.op_type in self.operators or any(fnmatch.fnmatchcase(node.name, name) for name in self.nodes)

    def unmatched(self, nodes: list[Any]) -> tuple[str, ...]:
        """What the recipe names and the model does not have: a typing error would otherwise keep nothing in silence."""
        operators, names = {n.op_type for n in nodes}, [n.name for n in nodes]
        absent = [o for o in self.operators if o not in operators]
        return (*absent, *(n for n in self.nodes if not fnmatch.filter(names, n)))


def read_recipe(text: str) -> Recipe:
    """Of a YAML or JSON file with `nodes:` and `operators:`, or names after commas, such as `Softmax,/head/*`.

    A name with a capital first and no slash, dot or star is an operator's, any other a node's.

    Raises:
        PlanError: a file that cannot be read, or says something else.
    """
    if Path(text).suffix in (".yaml", ".yml", ".json"):
        return _of_file(Path(text))
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not names:
        raise PlanError(f"keep-fp32: expected a recipe file, or names of operators or nodes after commas, got {text!r}")
    operators = tuple(n for n in names if n[0].isupper() and n.isalnum())
    return Recipe(tuple(n for n in names if n not in operators), operators)


def _of_file(path: Path) -> Recipe:
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise PlanError(f"{path}: the recipe cannot be read: {str(e).splitlines()[0]}") from None
    keys = ("nodes", "operators")
    if not isinstance(found, dict) or not found:
        raise PlanError(f"{path}: expected a mapping with {' or '.join(keys)}, got {type(found).__name__}")
    for key, value in found.items():
        if key not in keys:
            raise PlanError(
                f"{path}: unknown key {key}{did_you_mean(str(key), list(keys))}; known keys are {', '.join(keys)}"
            )
        if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
            raise PlanError(f"{path}: {key}: expected a list of names, got {value!r}")
    return Recipe(tuple(found.get("nodes", ())), tuple(found.get("operators", ())))
