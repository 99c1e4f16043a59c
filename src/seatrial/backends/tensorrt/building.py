"""An engine of a network: built whole, or not at all.

For: one build, with its time, its layers and what the library warned of. Not for: where it is kept (engine_files.py, cache.py).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from seatrial.backends.tensorrt.kernel_cache import with_timing_cache
from seatrial.backends.tensorrt.layers import Layer, computed_in
from seatrial.backends.tensorrt.library import Library
from seatrial.backends.tensorrt.log import logger_of
from seatrial.backends.tensorrt.network import Parsed, add_profiles, parsed
from seatrial.backends.tensorrt.options import EngineOptions
from seatrial.backends.tensorrt.profiles import Profile
from seatrial.backends.tensorrt.progress import Tell, monitor_of
from seatrial.backends.tensorrt.refusals import computed_in_less, not_built
from seatrial.interrupts import interrupts_held
from seatrial.model.file import ModelInfo


@dataclass(frozen=True)
class Built:
    """data: the serialized engine. layers: of the parsed network. computed_in: of its convolutions and matrix products.

    notes: warnings that say that numbers are not the file's.
    """

    data: bytes
    build_s: float
    layers: tuple[Layer, ...]
    computed_in: dict[str, int]
    notes: tuple[str, ...]


def build(
    library: Library,
    model: ModelInfo,
    profiles: Sequence[Profile],
    options: EngineOptions,
    tell: Tell = lambda _step, _share: None,
) -> Built:
    """Builds; a Ctrl-C ends it between two of its steps and is raised then.

    Raises:
        ModelError: the library does not take the model, or has no kernels for it; its first error, the node and the cure.
        BackendUnavailableError: it lacks an option, a capability, or the device that it builds for.
    """
    library.builds_for(options.capabilities)
    logger, log = logger_of(library)
    tell("parsing the model", 0.0)
    network = parsed(library, model, profiles, logger, log)
    config = network.builder.create_builder_config()
    library.configure(config, options)
    add_profiles(network, config, profiles)
    start = time.perf_counter()
    # Times that builds share would have them choose alike: of several independent ones each takes its own.
    times = nullcontext() if options.build_number else with_timing_cache(library, config)
    with interrupts_held() as came, times:
        # Kept until the build is over: the library does not own it.
        monitor = monitor_of(library, tell, came)
        config.progress_monitor = monitor
        plan = network.builder.build_serialized_network(network.network, config)
    if plan is None:
        raise not_built(model, library.label, log, network.proto)
    return Built(
        bytes(plan),
        time.perf_counter() - start,
        network.layers,
        _computed_in(network),
        tuple(filter(None, (computed_in_less(network.proto), *log.telling_warnings()))),
    )


def _computed_in(network: Parsed) -> dict[str, int]:
    return computed_in(network.layers, network.products)
