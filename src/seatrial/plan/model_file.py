"""What an ONNX file says about itself, read without trusting it.

For: inputs, outputs, metadata, size, digest; and the check that external data stays in the model's folder. Not for:
running it (backends). Nothing here runs the model; a path in the file is checked before any loader sees the file.
"""

from __future__ import annotations

import ast
import json
import os
import stat
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from seatrial.errors import ModelError, count_of, short_list
from seatrial.plan.files import HashedFile, combined_digest, hash_file

FAKE_SUFFIX = ".fake.json"


@dataclass(frozen=True)
class TensorInfo:
    """shape holds an int for a fixed dimension, a name for a symbolic one, None for an unknown one."""

    name: str
    shape: tuple[int | str | None, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.name} {self.dtype}[{', '.join('?' if d is None else str(d) for d in self.shape)}]"


@dataclass(frozen=True)
class ModelInfo:
    path: Path
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    metadata: dict[str, str]
    opset: int
    size_bytes: int
    digest: str
    external_files: tuple[Path, ...] = ()
    hashed: tuple[HashedFile, ...] = ()
    """The model's file and its external data, as the digest is of."""
    input_quantisation: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Scale and zero point of inputs that a DequantizeLinear reads."""

    def named_sizes(self, input_shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
        """Sizes of symbolic dimensions under given input shapes. A name with two sizes, such as '?', says nothing."""
        sizes: dict[str, set[int]] = {}
        for tensor in self.inputs:
            for dimension, size in zip(tensor.shape, input_shapes.get(tensor.name, ()), strict=False):
                if isinstance(dimension, str):
                    sizes.setdefault(dimension, set()).add(size)
        return {name: values.pop() for name, values in sizes.items() if len(values) == 1}

    def labels(self) -> list[str] | None:
        """Class names as Ultralytics ('names', a dict) or PaddleX exports ('character', lines) write them.

        The class of key k is number k, however the keys are written; a class without a key has an empty name.
        """
        if self.metadata.get("names"):
            return _read_names(self.metadata["names"])[0]
        return self.metadata["character"].splitlines() if self.metadata.get("character") else None

    def label_notes(self) -> list[str]:
        """What the metadata's class names do not say: it can't be read, or leaves classes without a name."""
        return _read_names(self.metadata["names"])[1] if self.metadata.get("names") else []


MOST_NAMES = 100_000


def _read_names(text: str) -> tuple[list[str] | None, list[str]]:
    """Metadata 'names' as a list or a dict of number to name, in Python's or JSON's spelling; and what is odd about it."""
    unread = (
        "the model's metadata 'names' is no list and no dict of number to name: the model counts as one without labels"
    )
    value = None
    for read in (ast.literal_eval, json.loads):
        try:
            value = read(text)
            break
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    if isinstance(value, list | tuple):
        return [str(v) for v in value], []
    try:
        numbered = {int(k): str(v) for k, v in value.items() if not isinstance(k, bool | float)}  # type: ignore[union-attr]
    except (AttributeError, TypeError, ValueError):
        return None, [unread]
    if not numbered or len(numbered) != len(value) or min(numbered) < 0 or max(numbered) >= MOST_NAMES:  # type: ignore[arg-type]
        return None, [unread]
    names = [numbered.get(k, "") for k in range(max(numbered) + 1)]
    gaps = [k for k in range(len(names)) if k not in numbered]
    shown = short_list([str(k) for k in gaps])
    return names, [f"the model's names leave out {count_of(len(gaps), 'class', 'classes')}: {shown}"] if gaps else []


def inspect_model(path: Path) -> ModelInfo:
    """Reads an ONNX file's structure. ModelError where it is missing, cut short, not ONNX, or reaches outside its folder."""
    if path.name.endswith(FAKE_SUFFIX):
        return _inspect_fake(path)
    import onnx
    from google.protobuf.message import DecodeError

    _check_file(path)
    # Before it is read: what is read later and differs shows in the file's times.
    hashed = [_hashed(path)]
    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError:
        size = path.stat().st_size
        raise ModelError(
            f"{path}: expected an ONNX model, but its {size} bytes cannot be parsed: the file is cut short or is not "
            "ONNX; copy or export it again"
        ) from None
    except OSError as e:
        raise ModelError(f"{path}: the model cannot be read: {e.strerror or e}") from None
    if not model.graph.node or not model.graph.output:
        raise ModelError(f"{path}: expected an ONNX model with nodes and outputs, got an empty graph; export it again")
    external = _external_files(model, path)
    weights = {t.name for t in model.graph.initializer}
    hashed += map(_hashed, external)
    return ModelInfo(
        path=path,
        inputs=tuple(_tensor_info(v) for v in model.graph.input if v.name not in weights),
        outputs=tuple(_tensor_info(v) for v in model.graph.output),
        metadata={p.key: p.value for p in model.metadata_props},
        opset=max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0),
        size_bytes=sum(f.stat().st_size for f in (path, *external)),
        digest=combined_digest(hashed),
        external_files=tuple(external),
        hashed=tuple(hashed),
        input_quantisation=_input_quantisation(model.graph),
    )


def _input_quantisation(graph: Any) -> dict[str, tuple[float, int]]:
    """Per input that goes into a DequantizeLinear with one scale for the whole tensor, held in the file itself."""
    import onnx

    inputs = {v.name for v in graph.input}
    small = {
        t.name: t
        for t in graph.initializer
        if t.data_location != onnx.TensorProto.EXTERNAL and list(t.dims) in ([], [1])
    }
    found = {}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in inputs and node.input[1] in small:
            zero = small.get(node.input[2]) if len(node.input) > 2 else None
            scale = float(onnx.numpy_helper.to_array(small[node.input[1]]).reshape(-1)[0])
            found[node.input[0]] = (
                scale,
                int(onnx.numpy_helper.to_array(zero).reshape(-1)[0]) if zero is not None else 0,
            )
    return found


def _check_file(path: Path) -> None:
    if not path.exists():
        near = sorted(p.name for p in path.parent.glob("*.onnx") if p.is_file())[:5] if path.parent.is_dir() else []
        there = f"; that folder has {', '.join(near)}" if near else ""
        raise ModelError(f"{path}: no such model{there}; paths in a plan are relative to its folder")
    if not path.is_file():
        raise ModelError(f"{path}: expected a model file, got something else (a folder, a pipe or a device)")
    if path.stat().st_size == 0:
        raise ModelError(f"{path}: the model file is empty (0 bytes); copy or export it again")
    # Cs: what Python makes of bytes that are no UTF-8.
    if any(unicodedata.category(c) in ("Cs", "Cc") for c in str(path.absolute())):
        raise ModelError(
            f"{str(path.absolute())!r}: expected a path in UTF-8 without control characters, which runtimes and records can "
            "name; rename the file or its folder"
        )


def _hashed(file: Path) -> HashedFile:
    try:
        return hash_file(file)
    except OSError as e:
        raise ModelError(f"{file}: the model cannot be read: {e.strerror or e}") from None


def _tensor_info(value: Any) -> TensorInfo:
    import onnx

    tensor = value.type.tensor_type
    # Some exporters write -1 where the format has a field of its own for what is not known.
    shape = tuple(
        (d.dim_value if d.dim_value >= 0 else None) if d.HasField("dim_value") else d.dim_param or None
        for d in tensor.shape.dim
    )
    if tensor.elem_type == onnx.TensorProto.BFLOAT16:
        return TensorInfo(value.name, shape, "bfloat16")
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    except KeyError:
        dtype = "unknown"
    return TensorInfo(value.name, shape, dtype)


def _external_files(model: Any, path: Path) -> list[Path]:
    """Files that the model's tensors live in, each checked: relative, inside the folder, regular, long enough."""
    import onnx

    found: dict[Path, None] = {}
    for tensor in _all_tensors(model.graph, model.functions):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        facts = {e.key: e.value for e in tensor.external_data}
        found[_checked_external(path, tensor.name, facts)] = None
    return list(found)


def _all_tensors(graph: Any, functions: Any = ()) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    for nodes in (graph.node, *(f.node for f in functions)):
        for node in nodes:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
                for sub in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                    yield from _all_tensors(sub)


def _checked_external(model_path: Path, tensor: str, facts: dict[str, str]) -> Path:
    location = facts.get("location", "")
    posix, windows = PurePosixPath(location), PureWindowsPath(location)
    outside = (
        posix.is_absolute() or windows.is_absolute() or windows.drive or ".." in posix.parts or ".." in windows.parts
    )
    if not location or outside:
        raise ModelError(
            f"{model_path}: refused: the weights of '{tensor}' are said to lie at {location!r}, outside the model's folder; "
            "expected a relative path inside it; export the model with its data beside it"
        )
    file = model_path.parent / posix
    try:
        status = os.lstat(file)
    except (OSError, ValueError):
        raise ModelError(
            f"{model_path}: the external data file {file} is missing (weights of '{tensor}'); put it beside the model"
        ) from None
    inside = file.resolve().is_relative_to(model_path.parent.resolve())
    if not stat.S_ISREG(status.st_mode) or not inside:
        raise ModelError(
            f"{model_path}: refused: the external data {file} is a link or not a regular file; "
            "copy the data itself into the model's folder"
        )
    try:
        end = int(facts.get("offset", 0)) + int(facts.get("length", 0))
    except ValueError:
        raise ModelError(
            f"{model_path}: the external data of '{tensor}' has a malformed offset or length; export it again"
        ) from None
    if end < 0 or int(facts.get("offset", 0)) < 0 or status.st_size < end:
        raise ModelError(
            f"{model_path}: the external data file {file} is cut short: expected at least {end} bytes, got {status.st_size}; "
            "copy it again"
        )
    return file


def _inspect_fake(path: Path) -> ModelInfo:
    """The fake backend's script, which plays the part of a model in tests."""
    _check_file(path)
    try:
        script = json.loads(path.read_text("utf-8"))
        tensors = {
            side: tuple(
                TensorInfo(name, tuple(t["shape"]), t.get("dtype", "float32")) for name, t in script[side].items()
            )
            for side in ("inputs", "outputs")
        }
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise ModelError(f"{path}: expected a fake model's script with inputs and outputs: {e}") from None
    hashed = (_hashed(path),)
    return ModelInfo(
        path, tensors["inputs"], tensors["outputs"], {}, 0, path.stat().st_size, combined_digest(hashed), hashed=hashed
    )
