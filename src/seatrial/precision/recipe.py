"""Which nodes of a model stay in fp32: by the node's name, or by the operator's. Not for: which must (half.py)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from seatrial.errors import PlanError, did_you_mean


@dataclass(frozen=True)
class Recipe:
    """nodes: names, in which * stands for any text and [*] for itself; operators: such as Softmax. What either names stays in
    fp32. A name that stands in both means whichever the model has."""

    nodes: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()

    def keeps(self, node: Any) -> bool:
        return node.op_type in self.operators or any(_names(pattern, node.name) for pattern in self.nodes)

    def unmatched(self, nodes: list[Any]) -> tuple[str, ...]:
        """What the recipe names and the model does not have: a typing error would otherwise keep nothing in silence."""
        operators, names = {n.op_type for n in nodes}, [n.name for n in nodes]
        known = {o for o in self.operators if o in operators}
        known |= {pattern for pattern in self.nodes if any(_names(pattern, name) for name in names)}
        return tuple(dict.fromkeys(n for n in (*self.operators, *self.nodes) if n not in known))


def _names(pattern: str, name: str) -> bool:
    """Only * is more than itself: names with brackets are common. What glob.escape writes means the character in it."""
    if pattern == name:
        return True
    parts = re.split(r"(\[[*?[]\]|\*)", pattern)
    text = "".join(
        ".*" if p == "*" else re.escape(p[1]) if re.fullmatch(r"\[[*?[]\]", p) else re.escape(p) for p in parts
    )
    return re.fullmatch(text, name, re.DOTALL) is not None


def read_recipe(text: str) -> Recipe:
    """Of a YAML or JSON file with `nodes:` and `operators:`, or names after commas, such as `Softmax,/head/*`.

    A name with a capital first and no slash, dot or star may be an operator's or a node's, any other is a node's.

    Raises:
        PlanError: a file that cannot be read, or says something else.
    """
    if Path(text).suffix in (".yaml", ".yml", ".json"):
        return _of_file(Path(text))
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not names:
        raise PlanError(f"keep-fp32: expected a recipe file, or names of operators or nodes after commas, got {text!r}")
    operators = tuple(n for n in names if n[0].isupper() and n.isalnum())
    return Recipe(tuple(names), operators)


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
