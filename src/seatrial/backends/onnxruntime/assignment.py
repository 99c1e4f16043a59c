"""Which nodes run on which execution provider, by ONNX Runtime's own record; a fallback to the CPU is an error unless allowed.

For: details, and the words of the refusal. Not for: a provider that does not open at all (provider_library.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seatrial.backends.onnxruntime.providers import CPU, Provider
from seatrial.errors import ModelError, count_of

RECORD = "session.record_ep_graph_assignment_info"
# What a version without the record (before 1.24) is told instead: it names no node.
FORBID = "session.disable_cpu_ep_fallback"
_NAMED = 3


class Assigned(NamedTuple):
    """A node and the provider that runs it, alone or as part of what it fuses."""

    provider: str
    operator: str
    node: str


def recorded(session: Any) -> list[Assigned]:
    """Of a Python session that was opened with RECORD."""
    return [
        Assigned(part.ep_name, _operator(node.domain, node.op_type), node.name)
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    ]


def of_native(rows: Sequence[tuple[str, str, str, str]]) -> list[Assigned]:
    """Of a native model: provider, domain, operator and node."""
    return [Assigned(provider, _operator(domain, operator), node) for provider, domain, operator, node in rows]


def in_words(assigned: Sequence[Assigned]) -> str:
    """'218 nodes on CUDAExecutionProvider, 3 on CPUExecutionProvider: 2 × Shape, NonZero (/head/Shape, …)'."""
    by_provider = Counter(a.provider for a in assigned)
    parts: list[str] = []
    for provider, number in sorted(by_provider.items(), key=lambda item: item[0] == CPU):
        parts.append(f"{number if parts else count_of(number, 'node')} on {provider}")
    strangers = [a for a in assigned if a.provider == CPU]
    return (", ".join(parts) or "no nodes") + (f": {_nodes(strangers)}" if strangers and len(by_provider) > 1 else "")


def refuse_fallback(provider: Provider, model: Path, assigned: Sequence[Assigned]) -> None:
    """ModelError where a node is not the provider's: on the CPU, which ONNX Runtime takes by itself, or on any other."""
    others = [a for a in assigned if a.provider != provider.execution_provider]
    if others:
        raise ModelError(
            f"{provider.name}: {len(others)} of {count_of(len(assigned), 'node')} would run on "
            f"{', '.join(sorted({a.provider for a in others}))} and not on {provider.execution_provider}: {_nodes(others)}; "
            "set cpu_fallback: true for this backend to have them counted and timed there, or change the model",
            subject=model,
            refusal=True,
        )


def _nodes(assigned: Sequence[Assigned]) -> str:
    operators = Counter(a.operator for a in assigned).most_common()
    kinds = ", ".join(name if number == 1 else f"{number} × {name}" for name, number in operators)
    named = [a.node for a in assigned if a.node]
    names = ", ".join(named[:_NAMED]) + (", …" if len(named) > _NAMED else "")
    return kinds + (f" ({names})" if names else "")


def _operator(domain: str, kind: str) -> str:
    return f"{domain}.{kind}" if domain not in ("", "ai.onnx") else kind
