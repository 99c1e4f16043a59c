"""YAML with line numbers. For: plain values plus the line of every key; duplicate keys refused. Not for: meaning.

PyYAML's node tree is walked here instead of its constructors, so that nothing in a plan can build a Python object.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from seatrial.errors import PlanError, is_utf8, printable

KeyPath = tuple[str | int, ...]
# Aliases share nodes, so a small file can stand for billions of values; a plan needs a few thousand at most.
MAX_VALUES = 100_000


@dataclass
class Source:
    """A plan file's plain values, and the line on which each key path begins."""

    path: Path
    text: str
    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)

    def line(self, at: KeyPath) -> int | None:
        """The line of the key path, or of its nearest ancestor."""
        while at and at not in self.lines:
            at = at[:-1]
        return self.lines.get(at)

    def where(self, at: KeyPath) -> str:
        """'trial.yaml:12: pipelines.candidate.model' for messages."""
        line = self.line(at)
        place = f"{self.path}:{line}" if line else str(self.path)
        return f"{place}: {dotted(at)}" if at else place


def dotted(at: KeyPath) -> str:
    text = ""
    for part in at:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def read_yaml(path: Path) -> Source:
    """Reads a YAML file. PlanError where it is missing, not UTF-8, not YAML, or has a duplicate key."""
    if path.exists() and not path.is_dir() and not path.is_file():
        raise PlanError(f"{path}: expected a plan file, got a pipe or a device")
    if path.suffix.lower() == ".onnx":
        here = Path.cwd()
        file = str(path.relative_to(here) if path.is_relative_to(here) else path)
        raise PlanError(
            f"{path}: expected a plan, got an ONNX file: '{shlex.join(['seatrial', file])}' tries it, and "
            f"'{shlex.join(['seatrial', 'init', file])}' writes a plan"
        )
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        if path.is_symlink():
            raise PlanError(f"{path}: it is a link that leads nowhere; link the plan again, or name its file") from None
        raise PlanError(f"{path}: no such plan; write one with 'seatrial init MODEL.onnx'") from None
    except IsADirectoryError:
        raise PlanError(f"{path}: expected a plan file, got a folder; name the YAML file in it") from None
    except UnicodeDecodeError as e:
        raise PlanError(
            f"{path}: expected UTF-8 text, got byte {e.object[e.start]:#x} at {e.start}; is it a plan?"
        ) from None
    except OSError as e:
        raise PlanError(f"{path}: the plan cannot be read: {e.strerror}") from None
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path) -> Source:
    """path: what messages call it; nothing is read there. PlanError as read_yaml."""
    source = Source(path, text)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark
        line = f":{mark.line + 1}" if mark else ""
        raise PlanError(
            f"{path}{line}: not valid YAML: {e.problem or e.context}; check indentation and quotes"
        ) from None
    except (yaml.YAMLError, RecursionError) as e:
        raise PlanError(f"{path}: not valid YAML: {str(e).splitlines()[0]}") from None
    if node is None:
        raise PlanError(f"{path}: the plan is empty; expected at least version, images and pipelines")
    source.data = _Values(source).of(node, ())
    return source


class _Values:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.count = 0
        self.open: set[int] = set()

    def of(self, node: yaml.Node, at: KeyPath) -> Any:
        self.count += 1
        line = node.start_mark.line + 1
        if self.count > MAX_VALUES or id(node) in self.open:
            raise PlanError(f"{self.source.path}:{line}: aliases expand to too many values; write them out")
        self.source.lines.setdefault(at, line)
        if isinstance(node, yaml.ScalarNode) and not is_utf8(node.value):
            raise PlanError(f"{self.source.path}:{line}: expected text, got half a character: {printable(node.value)}")
        if not node.tag.startswith("tag:yaml.org,2002:") or ":python/" in node.tag or node.tag.endswith(":binary"):
            tag = node.tag.removeprefix("tag:yaml.org,2002:")
            raise PlanError(f"{self.source.path}:{line}: the tag {tag!r} is not allowed in a plan; write a plain value")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.of(item, (*at, i)) for i, item in enumerate(node.value)]
            assert isinstance(node, yaml.MappingNode)
            return self._mapping(node, at)
        finally:
            self.open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, at: KeyPath) -> dict[Any, Any]:
        out: dict[Any, Any] = {}
        first_line: dict[Any, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise PlanError(f"{self.source.path}:{line}: expected a plain word as key")
            key = key_node.value
            if not is_utf8(key):
                raise PlanError(f"{self.source.path}:{line}: expected a word as key, got {printable(key)}")
            if key in out:
                raise PlanError(
                    f"{self.source.path}:{line}: {dotted((*at, key))}: duplicate key, first given on line "
                    f"{first_line[key]}; keep one"
                )
            first_line[key] = line
            self.source.lines[(*at, key)] = line
            out[key] = self.of(value_node, (*at, key))
        return out

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        kind = node.tag.rsplit(":", 1)[1]
        if kind == "null":
            return None
        if kind == "bool":
            return node.value.lower() in ("true", "yes", "on")
        if kind in ("int", "float"):
            try:
                return int(node.value.replace("_", ""), 0) if kind == "int" else float(node.value.replace("_", ""))
            except ValueError:  # YAML 1.1's octal (010) and sexagesimal (1:30) mean a plain word to everyone else
                return node.value
        return node.value
