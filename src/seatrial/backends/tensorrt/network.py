"""A strongly typed network of an ONNX file, for given shapes.

The file is read by ourselves first: its weights outside it were found to lie in its folder (model/file.py), its sizes are fixed
by the profiles, what TensorRT would misread is refused. Not for: building an engine (building.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seatrial.backends.tensorrt.layers import Layer, cast_nodes, of_network, product_nodes
from seatrial.backends.tensorrt.library import Library
from seatrial.backends.tensorrt.log import Log
from seatrial.backends.tensorrt.profiles import Profile, check_profiles, give_sizes
from seatrial.backends.tensorrt.refusals import not_parsed, refuse_what_it_misreads
from seatrial.errors import ModelError
from seatrial.model.file import ModelInfo

# A message of the format holds no more; weights that lie outside it do not count.
MOST_BYTES = (1 << 31) - 1


@dataclass(frozen=True)
class Parsed:
    """builder and parser are kept since the network needs them. products: names of the ONNX nodes that multiply."""

    network: Any
    builder: Any
    parser: Any
    proto: Any
    layers: tuple[Layer, ...]
    products: tuple[str, ...]


def parsed(library: Library, model: ModelInfo, profiles: Sequence[Profile], logger: Any, log: Log) -> Parsed:
    """The network of a model that inspect_model has read.

    Raises:
        ModelError: a shape that an input cannot take, a node that the library does not, or what it would compute otherwise.
    """
    check_profiles(model, profiles)
    proto = _prepared(model, profiles)
    builder = library.trt.Builder(logger)
    network = library.new_network(builder)
    parser = library.trt.OnnxParser(network, logger)
    # With the path, so that weights are found beside the file.
    if not parser.parse(proto.SerializeToString(), str(model.path)):
        raise not_parsed(model, library.label, [parser.get_error(i) for i in range(parser.num_errors)], log)
    for value in (network.get_input(i) for i in range(network.num_inputs)):
        if value.is_shape_tensor:
            raise ModelError(
                f"input {value.name} gives a shape, whose values an engine must know before; fold it into the model",
                subject=model.path,
            )
    return Parsed(network, builder, parser, proto, of_network(network), tuple(product_nodes(proto)))


def _prepared(model: ModelInfo, profiles: Sequence[Profile]) -> Any:
    import onnx

    proto = onnx.load(str(model.path), load_external_data=False)
    refuse_what_it_misreads(model, proto)
    if proto.ByteSize() > MOST_BYTES:
        raise ModelError("holds more than 2 GB in one file; export it with its weights beside it", subject=model.path)
    give_sizes(proto, profiles)
    _name_nodes(proto)
    return proto


def _name_nodes(proto: Any) -> None:
    """So that layers and messages name them."""
    taken = {node.name for node in proto.graph.node}
    for index, node in enumerate(proto.graph.node):
        if not node.name:
            name = f"{node.op_type}_{index}"
            while name in taken:
                name += "_"
            taken.add(name)
            node.name = name


def add_profiles(parsed_network: Parsed, config: Any, profiles: Sequence[Profile]) -> None:
    """One optimisation profile each."""
    network = parsed_network.network
    values = [network.get_input(i) for i in range(network.num_inputs)]
    for wanted in profiles:
        profile = parsed_network.builder.create_optimization_profile()
        for tensor in values:
            shapes = (s[tensor.name] for s in (wanted.least, wanted.usual, wanted.greatest))
            profile.set_shape(tensor.name, *shapes)
        config.add_optimization_profile(profile)


def named_products(model: ModelInfo) -> tuple[list[str], list[str]]:
    """Of the file, by the names that an engine's layers have them by; and its casts."""
    import onnx

    proto = onnx.load(str(model.path), load_external_data=False)
    _name_nodes(proto)
    return product_nodes(proto), cast_nodes(proto)
