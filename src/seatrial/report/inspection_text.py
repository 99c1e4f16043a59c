"""What a model's file is, holds and costs, for a terminal. Not for: finding any of it out (model/, jobs/)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from rich.text import Text

from seatrial.errors import count_of, printable, short_list
from seatrial.model.contents import Contents, Held, Operator
from seatrial.model.cost import Cost, Uncounted
from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.report.hanging import hanging, sentence
from seatrial.units import format_bytes

# Keys that say how the model is to be fed, or what it was trained for; the rest is named, not shown.
_TELLING = ("task", "imgsz", "stride", "batch", "nms", "head", "version", "license")
_LABEL = 10
MOST_TENSORS = 12


@dataclass(frozen=True)
class BackendLine:
    """One backend, and whether it takes the model: state is 'opens', 'refuses' or 'absent'."""

    name: str
    state: str
    said: str


def print_inspection(
    out: Console, info: ModelInfo, contents: Contents, cost: Cost | None, no_cost: str, most_operators: int
) -> None:
    """Everything that the file alone says. no_cost: why there is none, where cost is None."""
    print_heading(out, info, contents)
    _tensors(out, info, MOST_TENSORS)
    if info.metadata:
        _line(out, "metadata", _metadata(info))
    if info.external_files:
        _line(out, "data in", short_list([printable(f.name) for f in info.external_files]))
    _line(out, "weights", weights_said(info, contents))
    print_cost(out, cost, no_cost)
    nodes = "1 node" if contents.nodes == 1 else f"{contents.nodes:,} nodes"
    inside = f", {contents.inside:,} of them in subgraphs" if contents.inside else ""
    _line(out, "operators", f"{_operators(contents.operators, most_operators)}; {nodes}{inside}")


def print_nodes(out: Console, contents: Contents) -> None:
    """Every node that has a name, as recipes of precision and searches inside a model call it."""
    out.print("Nodes, by operator")
    for operator, names in contents.node_names.items():
        out.print(Text(f"  {printable(operator)}"))
        for name in names:
            out.print(Text(f"    {printable(name)}"), soft_wrap=True)
    if nameless := contents.nodes - sum(map(len, contents.node_names.values())):
        sentence(out, Text(f"  {count_of(nameless, 'node')} without a name: only by operator"))


def print_brief(out: Console, info: ModelInfo, contents: Contents, cost: Cost | None, pipeline: str) -> None:
    """The same in a few lines, in front of something else. pipeline: what it is tried as, or ''."""
    print_heading(out, info, contents)
    _tensors(out, info, 3)
    _line(out, "weights", weights_said(info, contents))
    if cost is not None:
        print_cost(out, cost, "")
    if pipeline:
        _line(out, "tried as", pipeline)


def _tensors(out: Console, info: ModelInfo, most: int) -> None:
    for side, tensors in (("input", info.inputs), ("output", info.outputs)):
        for tensor in tensors[:most]:
            _line(out, side, _tensor(tensor))
        if len(tensors) > most:
            _line(out, "", f"… and {len(tensors) - most} more")


def print_heading(out: Console, info: ModelInfo, contents: Contents) -> None:
    opsets = {("opset" if d in ("", "ai.onnx") else printable(d)): v for d, v in contents.opsets.items()}
    by = f", from {printable(contents.producer)}" if contents.producer else ""
    facts = ", ".join([format_bytes(info.size_bytes), *(f"{d} {v}" for d, v in opsets.items())])
    sentence(out, Text.assemble((printable(info.path.name), "bold"), f"  {facts}, IR {contents.ir_version}{by}"))


def print_cost(out: Console, cost: Cost | None, no_cost: str) -> None:
    if cost is None:
        _line(out, "FLOPs", no_cost)
        return
    if cost.whole and not cost.counted:
        rest = " that a run needs" if cost.left_out else ""
        _line(out, "FLOPs", f"none: no convolution and no matrix product{rest}")
        _left_out(out, cost)
        return
    at = shapes_said(cost.input_shapes)
    share = [f"{op} {part / cost.flops:.1%}" for op, part in cost.by_operator.items() if part]
    of = f": {', '.join(share)}" if len(share) > 1 else f", all in {next(iter(cost.by_operator))}" if share else ""
    bound = "" if cost.whole else "at least "
    _line(out, "FLOPs", f"{bound}{format_flops(cost.flops)} (2 × multiply-adds) at {at}{of}")
    if cost.uncounted:
        _line(out, "", f"not counted: {'; '.join(map(_uncounted, cost.uncounted))}", "yellow")
    _left_out(out, cost)
    if cost.problem:
        _line(out, "", f"shape inference ended early: {printable(cost.problem)}", "yellow")


def _left_out(out: Console, cost: Cost) -> None:
    if cost.left_out:
        _line(out, "", f"left out: {'; '.join(map(_uncounted, cost.left_out))}")


def shapes_said(shapes: Mapping[str, Sequence[int]]) -> str:
    """'x=1x3x640x640', as --shape takes them."""
    return " ".join(f"{printable(n)}={'x'.join(map(str, s)) or 'scalar'}" for n, s in shapes.items())


def format_flops(flops: int) -> str:
    """Three significant digits: '980 MFLOPs'."""
    for factor, unit in ((10**12, "TFLOPs"), (10**9, "GFLOPs"), (10**6, "MFLOPs"), (10**3, "kFLOPs")):
        if flops >= 0.9995 * factor:
            digits = f"{flops / factor:#.3g}".rstrip(".")
            return f"{digits if 'e' not in digits else round(flops / factor)} {unit}"
    return f"{flops} FLOPs"


def weights_said(info: ModelInfo, contents: Contents) -> str:
    """How many, in what; and what the arithmetic is in where the file says so."""
    parts = []
    if contents.parameters.values:
        parts.append(f"{contents.parameters.values:,} parameters, {_dtypes(contents.parameters)}")
    if contents.constants.values:
        what = "values" if parts else "parameters"
        parts.append(f"{contents.constants.values:,} {what} in Constant nodes, {_dtypes(contents.constants)}")
    return "; ".join([*(parts or ["none"]), *_kind(info)])


def _kind(info: ModelInfo) -> list[str]:
    if info.arithmetic:
        return [f"quantised: {info.arithmetic} arithmetic"]
    if info.quantised:
        return [f"{info.weights} weights, float arithmetic"]
    return [f"mostly {info.weights}"] if info.weights else []


def print_recognised(out: Console, certain: Sequence[str], unsure: Sequence[str], problem: str) -> None:
    """In init's words. problem: why no plan with a built-in preprocess can run the model; then nothing else is known."""
    out.print(Text.assemble(("As a pipeline", "bold"), ", as 'seatrial init' would write it"))
    if problem:
        hanging(out, ("  – ", "dim"), problem)
    for reason in certain:
        hanging(out, ("  ✓ ", "green"), reason)
    for doubt in unsure:
        hanging(out, ("  ? ", "yellow"), doubt)


_MARKS = {"opens": ("  ✓ ", "green"), "refuses": ("  ✗ ", "bold red"), "absent": ("  – ", "dim")}


def print_backend_lines(out: Console, lines: Sequence[BackendLine]) -> None:
    """Those that are absent for one reason share a line."""
    out.print("Backends", style="bold")
    absent: dict[str, list[str]] = {}
    for line in lines:
        if line.state == "absent":
            absent.setdefault(line.said, []).append(line.name)
        else:
            hanging(out, _MARKS[line.state], f"{line.name:<16} {line.said}")
    for said, names in absent.items():
        hanging(out, _MARKS["absent"], f"{', '.join(names)}: {said}", "dim")


def _line(out: Console, label: str, said: str, style: str = "") -> None:
    hanging(out, (f"  {label:<{_LABEL}}", "dim"), said, style)


def _tensor(tensor: TensorInfo) -> str:
    """Exporters name an open dimension by the whole formula that it follows from."""
    shape = tuple(d if not isinstance(d, str) or len(d) <= 32 else f"{d[:29]}..." for d in tensor.shape)
    return str(replace(tensor, shape=shape))


def _metadata(info: ModelInfo) -> str:
    told = [f"{k} {printable(info.metadata[k])[:60]}" for k in _TELLING if info.metadata.get(k)]
    labels = info.labels()
    if labels is not None:
        told.append(f"{count_of(len(labels), 'label')} ({short_list([printable(x) for x in labels], 3)})")
    elif info.label_notes():
        told.append("names that cannot be read")
    rest = [printable(k) for k in info.metadata if k not in (*_TELLING, "names", "character")]
    return "; ".join([*told, *([f"also: {short_list(rest)}"] if rest else [])])


def _dtypes(held: Held) -> str:
    """Shares of the bytes, down to a thousandth of them."""
    total = max(1, held.size_bytes)
    shares = {dtype: size / total for dtype, (_, size) in held.by_dtype.items()}
    shown = [f"{dtype} {share:.1%}" for dtype, share in shares.items() if share >= 0.001]
    first = next(iter(shares))
    return f"{format_bytes(held.size_bytes)} ({first if shares[first] > 0.999 else short_list(shown)})"


def _uncounted(u: Uncounted) -> str:
    inside = f" with {u.inside:,} nodes inside" if u.inside else ""
    return f"{u.count:,} {printable(u.operator)}{inside} ({u.why})"


def _operators(operators: Sequence[Operator], most: int) -> str:
    # These stand there whatever their count: they decide who can run the model, and what its outputs are.
    shown = [*operators[:most], *(o for o in operators[most:] if o.custom or o.name == "NonMaxSuppression")]
    rest = len(operators) - len(shown)
    more = f", {count_of(rest, 'kind')} more" if rest else ""
    return ", ".join(map(_operator, shown)) + more


def _operator(o: Operator) -> str:
    owner = " (the model's own function)" if o.function else f" (custom: {printable(o.domain)})" if o.custom else ""
    return f"{printable(o.name)} {o.count:,}{owner}"
