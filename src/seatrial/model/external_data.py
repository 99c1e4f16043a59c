"""The tensors of an ONNX file, wherever they stand, and the check that those outside it lie in the model's folder.

For: refusing a file before any loader follows a path in it. Not for: reading the data.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from seatrial.errors import ModelError
from seatrial.model.dtypes import dtype_name, packed_bytes

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1"


def external_files(model: Any, path: Path) -> list[Path]:
    """Files that the model's tensors live in, each checked: relative, inside the folder, regular, long enough."""
    import onnx

    found: dict[Path, None] = {}
    for tensor in all_tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        facts = {e.key: e.value for e in tensor.external_data}
        file = _data_file(path, tensor.name, facts)
        _check_length(path, file, tensor, facts)
        found[file] = None
    return list(found)


def all_tensors(model: Any) -> Iterator[Any]:
    """Every tensor that the file can hold: initialisers and attributes, dense and sparse, in graphs, subgraphs, functions."""
    for graph in all_graphs(model):
        yield from graph.initializer
        yield from _parts(graph.sparse_initializer)
    for attribute in _attributes(model):
        yield from [attribute.t] if attribute.HasField("t") else []
        yield from attribute.tensors
        yield from _parts([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else [])
        yield from _parts(attribute.sparse_tensors)


def all_nodes(model: Any) -> Iterator[Any]:
    """Of every graph, and of every function."""
    for holder in (*all_graphs(model), *model.functions):
        yield from holder.node


def _parts(sparse_tensors: Iterable[Any]) -> Iterator[Any]:
    for sparse in sparse_tensors:
        yield sparse.values
        yield sparse.indices


def _attributes(model: Any) -> Iterator[Any]:
    for node in all_nodes(model):
        yield from node.attribute
    for function in model.functions:
        yield from function.attribute_proto


def all_graphs(model: Any) -> list[Any]:
    """The model's own, those of its training information, and those in attributes, at any depth."""
    found = [model.graph]
    for training in model.training_info:
        found += [training.initialization, training.algorithm]
    waiting = [*found, *model.functions]
    while waiting:
        holder = waiting.pop()
        attributes = [a for node in holder.node for a in node.attribute]
        # A function's own defaults; a graph has none.
        attributes += getattr(holder, "attribute_proto", [])
        inner = [g for a in attributes for g in ([a.g] if a.HasField("g") else []) + list(a.graphs)]
        found += inner
        waiting += inner
    return found


def _data_file(model_path: Path, tensor: str, facts: dict[str, str]) -> Path:
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
    if is_lfs_pointer(file):
        raise ModelError(
            f"{model_path}: the external data file {file} is a Git LFS pointer, which stands in for a file that was not "
            "fetched; run 'git lfs pull' in its repository"
        )
    return file


def _check_length(model_path: Path, file: Path, tensor: Any, facts: dict[str, str]) -> None:
    """The file must hold what the tensor's shape and dtype need, whatever it says of a length."""
    try:
        offset = int(facts.get("offset", 0))
        length = int(facts["length"]) if "length" in facts else None
    except ValueError:
        raise ModelError(
            f"{model_path}: the external data of '{tensor.name}' has a malformed offset or length; export it again"
        ) from None
    if offset < 0 or (length or 0) < 0:
        what, said = ("offset", offset) if offset < 0 else ("length", length)
        raise ModelError(
            f"{model_path}: the external data of '{tensor.name}' has the {what} {said}, and there is nothing below 0; "
            "export it again"
        )
    dtype, dims = dtype_name(tensor.data_type), list(tensor.dims)
    needed = (packed_bytes(dtype, math.prod(dims)) or 0) if all(d >= 0 for d in dims) else 0  # else: told elsewhere
    if length is not None and length < needed:
        raise ModelError(
            f"{model_path}: the external data of '{tensor.name}' is said to be {length} bytes long, and {dtype}{dims} takes "
            f"{needed}; export it again"
        )
    end, size = offset + max(needed, length or 0), file.stat().st_size
    if size < end:
        raise ModelError(
            f"{model_path}: the external data file {file} is cut short: expected at least {end} bytes, got {size}; "
            "copy it again"
        )


def is_lfs_pointer(path: Path) -> bool:
    """Whether Git LFS left its small text file in place of the one that was meant."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(LFS_POINTER)) == LFS_POINTER
    except OSError:
        return False
