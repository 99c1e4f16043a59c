"""What an ONNX file says about itself, read without trusting it.

For: inputs, outputs, metadata, size, digest; and the check that external data stays in the model's folder. Not for:
running it (backends). Nothing here runs the model; a path in the file is checked before any loader sees the file.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seatrial.digests import HashedFile, combined_digest, hash_file
from seatrial.errors import (
    ModelError,
    printable,
    short_list,
)
from seatrial.model.external_data import external_files, is_lfs_pointer
from seatrial.model.names import read_names
from seatrial.model.quantised import arithmetic_of, weights_of
from seatrial.warning import Warning

FAKE_SUFFIX = ".fake.json"

_KINDS = {
    "sequence_type": "sequence",
    "map_type": "map",
    "optional_type": "optional",
    "sparse_tensor_type": "sparse tensor",
}
# What a TensorInfo's dtype says of a value that is no tensor of numbers or text.
_NO_TENSORS = (*_KINDS.values(), "opaque")
_NUMPY = {
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
    "complex64",
    "complex128",
    "object",
}


@dataclass(frozen=True)
class TensorInfo:
    """shape holds an int for a fixed dimension, a name for a symbolic one, None for an unknown one.

    ranked: False where not even the number of dimensions is known; shape is () then, as a scalar's is.
    """

    name: str
    shape: tuple[int | str | None, ...]
    dtype: str
    ranked: bool = True

    def __str__(self) -> str:
        """For people, in one line whatever the file's names hold."""
        dimensions = ", ".join("?" if d is None else printable(str(d)) for d in self.shape)
        return f"{printable(self.name)} {self.dtype}[{dimensions if self.ranked else 'unknown rank'}]"

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether a tensor of that shape may go in, by what the file says."""
        if not self.ranked:
            return True
        pairs = zip(self.shape, shape, strict=False)
        return len(shape) == len(self.shape) and all(not isinstance(d, int) or d == s for d, s in pairs)


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
    weights: str = ""
    """What the file holds where that is not float32: 'float16', 'bfloat16', 'int4'; its arithmetic where it has one."""
    arithmetic: str = ""
    """'int8' where activations are quantised too; '' where weights alone may be, and the arithmetic is of floats."""

    @property
    def quantised(self) -> bool:
        """Weights or more of it: numbers were rounded away already."""
        return bool(self.arithmetic) or self.weights.startswith(("int", "float8", "float4"))

    @property
    def held(self) -> str:
        """What follows 'the file …' or 'the model …' where it holds something else than float32; or ''."""
        if self.arithmetic:
            return "is quantised already"
        return f"holds {self.weights} weights" if self.weights else ""

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
            return read_names(self.metadata["names"])[0]
        return self.metadata["character"].splitlines() if self.metadata.get("character") else None

    def label_notes(self) -> list[Warning]:
        """What the metadata's class names do not say: it can't be read, or leaves classes without a name."""
        return read_names(self.metadata["names"])[1] if self.metadata.get("names") else []


def inspect_model(path: Path, hint: str = "") -> ModelInfo:
    """Reads an ONNX file's structure. ModelError where it is missing, cut short, not ONNX, or reaches outside its folder."""
    if path.name.endswith(FAKE_SUFFIX):
        return _inspect_fake(path)
    import onnx
    from google.protobuf.message import DecodeError

    _check_file(path, hint)
    # Before it is read: what is read later and differs shows in the file's times.
    hashed = [_hash(path)]
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
    external = external_files(model, path)
    weights = {t.name for t in model.graph.initializer}
    arithmetic = arithmetic_of(model)
    hashed += map(_hash, external)
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
        weights=arithmetic or weights_of(model),
        arithmetic=arithmetic,
    )


def not_an_array(info: ModelInfo) -> str:
    """Why some input or output can be no NumPy array, and the cure; or ''. Text can be one."""
    for side, tensors in (("input", info.inputs), ("output", info.outputs)):
        for tensor in tensors:
            if tensor.dtype in _NO_TENSORS:
                return (
                    f"{side} {tensor.name!r} holds a value of type {tensor.dtype}, not a tensor; export the model with a "
                    "tensor for each of its parts, or put a node behind it that joins them (ConcatFromSequence, SequenceAt)"
                )
            if tensor.dtype not in _NUMPY:
                return f"{side} {tensor} is {tensor.dtype}, which NumPy does not have; export the model with a float32 {side}"
    return ""


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
        whole = node.op_type == "DequantizeLinear" and len(node.input) > 1
        if whole and node.input[0] in inputs and node.input[1] in small:
            zero = small.get(node.input[2]) if len(node.input) > 2 else None
            scale = float(onnx.numpy_helper.to_array(small[node.input[1]]).reshape(-1)[0])
            found[node.input[0]] = (
                scale,
                int(onnx.numpy_helper.to_array(zero).reshape(-1)[0]) if zero is not None else 0,
            )
    return found


def _check_file(path: Path, hint: str = "") -> None:
    if not path.exists():
        near = sorted(p.name for p in path.parent.glob("*.onnx") if p.is_file()) if path.parent.is_dir() else []
        there = f"; that folder has {short_list(near)}" if near else ""
        if path.is_symlink():
            raise ModelError(f"{path}: it is a link that leads nowhere{there}; link the model again, or name its file")
        raise ModelError(f"{path}: no such model{there}{hint}")
    if not path.is_file():
        raise ModelError(f"{path}: expected a model file, got something else (a folder, a pipe or a device)")
    if path.stat().st_size == 0:
        raise ModelError(f"{path}: the model file is empty (0 bytes); copy or export it again")
    if is_lfs_pointer(path):
        raise ModelError(
            f"{path}: expected an ONNX model, got a Git LFS pointer, which stands in for a file that was not fetched; "
            "run 'git lfs pull' in its repository"
        )
    # Cs: what Python makes of bytes that are no UTF-8.
    if any(unicodedata.category(c) in ("Cs", "Cc") for c in str(path.absolute())):
        raise ModelError(
            f"{str(path.absolute())!r}: expected a path in UTF-8 without control characters, which runtimes and records can "
            "name; rename the file or its folder"
        )


def _hash(file: Path) -> HashedFile:
    try:
        return hash_file(file)
    except OSError as e:
        raise ModelError(f"{file}: the model cannot be read: {e.strerror or e}") from None


def _tensor_info(value: Any) -> TensorInfo:
    import onnx

    kind = value.type.WhichOneof("value")
    if kind not in ("tensor_type", None):
        # A sequence, a map, an optional or a sparse tensor: no array of a shape.
        return TensorInfo(value.name, (), _KINDS.get(kind, "opaque"))
    tensor, ranked = value.type.tensor_type, value.type.tensor_type.HasField("shape")
    # Some exporters write -1 where the format has a field of its own for what is not known.
    shape = tuple(
        (d.dim_value if d.dim_value >= 0 else None) if d.HasField("dim_value") else d.dim_param or None
        for d in tensor.shape.dim
    )
    if tensor.elem_type == onnx.TensorProto.BFLOAT16:
        return TensorInfo(value.name, shape, "bfloat16", ranked)
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    except KeyError:
        dtype = "unknown"
    return TensorInfo(value.name, shape, dtype, ranked)


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
    hashed = (_hash(path),)
    return ModelInfo(
        path, tensors["inputs"], tensors["outputs"], {}, 0, path.stat().st_size, combined_digest(hashed), hashed=hashed
    )
