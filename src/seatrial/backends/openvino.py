"""OpenVINO on the CPU or an Intel GPU. Not for: letting the plugin choose device, precision or streams unasked."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy.typing as npt

from seatrial.backends.base import BoundKey, Closing, OpenOptions, TensorSpec, bound_key, check_array, check_feeds
from seatrial.backends.computed_in import of_runtime_model
from seatrial.backends.openvino_joins import wrong_joins
from seatrial.backends.reasons import last_line
from seatrial.errors import BackendUnavailableError, CellError, ModelError, count_of, short_list


class OpenVinoBackend(Closing):
    name: str = "openvino-cpu"
    device: ClassVar[str] = "CPU"

    def __init__(self, compiled: Any, model: Path, options: OpenOptions) -> None:
        # Here, since an import in run() would be timed.
        from openvino import Tensor

        self._tensor = Tensor
        self.compiled = compiled
        self._model = model
        self._options = options
        self.request = compiled.create_infer_request()
        self._inputs = [_spec(port, options.input_shapes) for port in compiled.inputs]
        self._outputs = [_spec(port, options.input_shapes) for port in compiled.outputs]
        self._input_names = [i.name for i in self._inputs]
        self._known = set(self._input_names)
        self._bound: dict[str, BoundKey] = {}

    @classmethod
    def open(cls, model: Path, options: OpenOptions) -> Self:
        import openvino as ov

        core = ov.Core()
        if cls.device not in [d.split(".")[0] for d in core.available_devices]:
            raise BackendUnavailableError(
                f"{cls.name}: OpenVINO sees no {cls.device}, only {', '.join(core.available_devices) or 'nothing'}; "
                "check its driver"
            )
        try:
            network = core.read_model(str(model))
            shapes = {n: list(s) for n, s in options.input_shapes.items() if n in _input_names(network)}
            if network.is_dynamic() and shapes:
                network.reshape(shapes)
            compiled = core.compile_model(network, cls.device, cls._settings(options))
        except RuntimeError as e:
            raise ModelError(f"OpenVINO cannot load the model: {last_line(e)}", subject=model, refusal=True) from e
        used = compiled.get_property("EXECUTION_DEVICES")
        if [str(d).split(".")[0] for d in used] != [cls.device]:
            raise BackendUnavailableError(
                f"{cls.name}: asked for {cls.device}, but OpenVINO would run on {', '.join(used)}"
            )
        # On processors with AMX or AVX512_BF16 the plugin would otherwise compute fp32 models in bf16.
        wanted = str(options.settings.get("inference_precision", "f32"))
        precision = _type_name(compiled.get_property("INFERENCE_PRECISION_HINT"))
        if wanted not in ("auto", precision):
            raise BackendUnavailableError(
                f"{cls.name}: asked for {wanted} arithmetic, but OpenVINO would compute in {precision} on this device; set "
                f"inference_precision to {precision}, or leave it out for f32"
            )
        for asked, what, has in _asked_and_had(options, compiled):
            if asked != has:
                raise BackendUnavailableError(
                    f"{cls.name}: asked for {what} {asked}, but OpenVINO would have {has} on this device; leave {what} out, or "
                    "give the cell that many threads"
                )
        if joins := wrong_joins(network, compiled, cls.device):
            raise ModelError(
                f"OpenVINO {ov.__version__.split('-')[0]} answers wrong: what {short_list(joins, 3)} joins for a convolution "
                "is signed int8, of which it loses the scale; quantise to int8-u8, which it computes right, or run this "
                "model by onnxruntime-cpu",
                subject=model,
                refusal=True,
            )
        return cls(compiled, model, options)

    @classmethod
    def _settings(cls, options: OpenOptions) -> dict[str, Any]:
        given = options.settings
        # A stream serves one request at a time; the threads are of all streams together.
        settings: dict[str, Any] = {"NUM_STREAMS": str(given.get("streams", options.clients)).upper()}
        if (precision := given.get("inference_precision", "f32")) != "auto":
            settings["INFERENCE_PRECISION_HINT"] = precision
        hint = str(given.get("hint", "none"))
        if hint != "none":
            settings["PERFORMANCE_HINT"] = hint.upper()
            # The hint is what chooses them, then.
            if "streams" not in given:
                del settings["NUM_STREAMS"]
        for name, its_own in (("cpu_pinning", "ENABLE_CPU_PINNING"), ("hyper_threading", "ENABLE_HYPER_THREADING")):
            if name in given:
                settings[its_own] = given[name]
        if cls.device == "CPU":
            settings["INFERENCE_NUM_THREADS"] = options.threads * options.clients
        return settings

    def another(self) -> Self:
        return type(self)(self.compiled, self._model, self._options)

    def inputs(self) -> list[TensorSpec]:
        return self._inputs

    def outputs(self) -> list[TensorSpec]:
        return self._outputs

    def run(self, feeds: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        if feeds.keys() != self._known:
            check_feeds(self._model, self._input_names, feeds)
        try:
            for name, array in feeds.items():
                key = bound_key(array)
                if self._bound.get(name) != key:
                    self._bound.pop(name, None)
                    self._bind(self._input_names.index(name), array)
                    # What cannot be written to is not taken as it is, and is copied at each run.
                    if self.in_place and array.flags.writeable:
                        self._bound[name] = key
            self.request.infer()
        except RuntimeError as e:
            raise CellError(f"OpenVINO failed in a run: {last_line(e)}", refusal=True) from e
        return [self.request.get_output_tensor(i).data for i in range(len(self._outputs))]

    def details(self) -> dict[str, str]:
        import openvino as ov

        get = self.compiled.get_property
        return {
            "hint": _hint_of(self.compiled),
            "runtime": f"openvino {ov.__version__.split('-')[0]}",
            "device": ", ".join(get("EXECUTION_DEVICES")),
            "inference_precision": _type_name(get("INFERENCE_PRECISION_HINT")),
            "threads": f"{get('INFERENCE_NUM_THREADS')} threads, {count_of(int(get('NUM_STREAMS')), 'stream')}"
            if self.device == "CPU"
            else count_of(int(get("NUM_STREAMS")), "stream"),
        }

    def computed_in(self, _feeds: Mapping[str, npt.NDArray[Any]]) -> dict[str, int]:
        return of_runtime_model(self.compiled.get_runtime_model())

    def close(self) -> None:
        self.request = self.compiled = None

    def _bind(self, index: int, array: npt.NDArray[Any]) -> None:
        check_array(self._inputs[index], array)
        self.request.set_input_tensor(index, self._tensor(array, shared_memory=array.flags.writeable))


class OpenVinoGpuBackend(OpenVinoBackend):
    name: str = "openvino-gpu"
    device: ClassVar[str] = "GPU"
    # The plugin copies host memory in infer(), not in set_input_tensor(). That is its own business: nothing promises it.
    in_place: bool = False


def _input_names(network: Any) -> set[str]:
    return {name for port in network.inputs for name in port.get_names()}


def _spec(port: Any, wanted: Collection[str]) -> TensorSpec:
    """A port keeps every name that an Identity or a fusion ever gave it: the one that the caller uses goes first."""
    # A shape of unknown rank has no dimensions to go through.
    dimensions = [] if port.partial_shape.rank.is_dynamic else port.partial_shape
    shape = tuple(d.get_length() if d.is_static else None for d in dimensions)
    names = sorted(port.get_names(), key=lambda n: (n not in wanted, n)) or [port.node.friendly_name]
    name = names[0]
    return TensorSpec(name, shape, port.element_type.to_dtype().name)


def _asked_and_had(options: OpenOptions, compiled: Any) -> Iterator[tuple[str, str, str]]:
    """What was asked for by number or name, the option, and what OpenVINO says that it has."""
    streams, hint = options.settings.get("streams"), str(options.settings.get("hint", "none"))
    if isinstance(streams, int):
        yield str(streams), "streams", str(compiled.get_property("NUM_STREAMS"))
    if hint != "none":
        yield hint, "hint", _hint_of(compiled)


def _hint_of(compiled: Any) -> str:
    """'latency', 'throughput' or the like; OpenVINO has one whoever chose it."""
    return str(compiled.get_property("PERFORMANCE_HINT")).rpartition(".")[2].lower()


def _type_name(value: Any) -> str:
    return value if isinstance(value, str) else str(value.get_type_name())
