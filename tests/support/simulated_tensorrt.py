"""A stand-in for TensorRT 10, 11 and TensorRT-RTX: only the names that each of them has, and onnx's reference in place of kernels.

`tensorrt_api.json` was written from the three real packages: whatever uses a name that a library lacks fails here with an
AttributeError. What it runs is a kernel on the simulated driver's stream, with the addresses and shapes of when it was enqueued.
For: the backend's calls on every library, and its use of the driver. Not for: what TensorRT really does with a model (the tests
marked `extra`).
"""

import base64
import ctypes
import json
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from seatrial import cuda

API = json.loads((Path(__file__).parent / "tensorrt_api.json").read_text())
VERSIONS = tuple(API)
_NUMPY = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "INT8": np.int8,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "BOOL": np.bool_,
}


# Its argument is a number that Network.job gave.
KERNEL, PTX = (
    "network",
    ".version 7.0\n.target sm_75\n.address_size 64\n.visible .entry network(.param .u64 job) { ret; }\n",
)


class Package(SimpleNamespace):
    __hash__ = object.__hash__


def module(label, network, **given):
    """label: one of VERSIONS. network: the kernel that runs its engines. given: what it is to answer (see Behaviour)."""
    return Behaviour(label, network, **given).trt


class Network:
    """The kernel of one simulated driver: what was enqueued, by number."""

    def __init__(self, simulation):
        self.simulation, self.jobs = simulation, []

    def install(self, duration_ns=1000):
        """After each script, which forgets what kernels do."""

        def body(values, _grid, _block):
            self.jobs[ctypes.cast(values[0], ctypes.POINTER(ctypes.c_uint64))[0]]()

        self.simulation.kernel(KERNEL, body, duration_ns)

    def job(self, work):
        self.jobs.append(work)
        return np.uint64(len(self.jobs) - 1)

    def array(self, pointer, shape, dtype):
        """Device memory where the host can read it. Where there is none, a device would go on with an error."""
        count = int(np.prod(shape))
        there = self.simulation.memory(pointer, count * np.dtype(dtype).itemsize)
        if not there:
            return np.zeros(shape, dtype)
        return np.frombuffer((ctypes.c_char * (count * np.dtype(dtype).itemsize)).from_address(there), dtype).reshape(
            shape
        )


class Behaviour:
    """capturable: what is_stream_capturable says; "said": it is not, since the library waits for the stream in a run."""

    def __init__(
        self, label, network, memory_bytes=1000, validity=(0, 0), capturable=True, loads=True, runs=True, inspector=None
    ):
        names = {cls: set(text.split()) for cls, text in API[label].items()}
        self.network, self.memory_bytes, self.inspector = network, memory_bytes, inspector
        self.validity, self.capturable, self.loads, self.runs = validity, capturable, loads, runs
        self.rtx = "rtx" in label
        self.trt = trt = Package(__version__=label.split()[1], behaviour=self, calls=[])
        for cls in names:
            if cls in _ENUMS:
                setattr(trt, cls, IntEnum(cls, {n: i for i, n in enumerate(sorted(names[cls]))}))
        if self.rtx:
            trt.EngineValidity = IntEnum("EngineValidity", {"VALID": 0, "SUBOPTIMAL": 1, "INVALID": 2})
            flags = {"VERSION_MISMATCH": 1, "UNSUPPORTED_CC": 2, "MALFORMED_ENGINE": 32}
            trt.EngineInvalidityDiagnostics = IntEnum("EngineInvalidityDiagnostics", flags)
        trt.ILogger = type("ILogger", (), {"__init__": lambda self: None})
        trt.IProgressMonitor = type("IProgressMonitor", (), {"__init__": lambda self: None})
        trt.nptype = lambda dtype: _NUMPY[dtype.name] if dtype.name in _NUMPY else _no_type(dtype)
        kinds = (Builder, IBuilderConfig, OnnxParser, Runtime, ICudaEngine, IExecutionContext, EngineInspector, IOptimizationProfile,
                 INetworkDefinition, ITensor, IRuntimeConfig, IRuntimeCache, ITimingCache)  # fmt: skip
        for kind in kinds:
            if kind.__name__ in names:
                setattr(trt, kind.__name__, _guarded(kind, names[kind.__name__], trt))

    def fail(self, error):
        """As the libraries do: a line in the log, and no answer."""
        self.logger.log(SimpleNamespace(name="ERROR"), str(error))


_ENUMS = ("BuilderFlag", "ComputeCapability", "DataType", "DynamicShapesKernelSpecializationStrategy", "HardwareCompatibilityLevel",
          "LayerInformationFormat", "MemoryPoolType", "NetworkDefinitionCreationFlag", "ProfilingVerbosity", "TensorIOMode")  # fmt: skip


def _no_type(dtype):
    raise TypeError(dtype)


def _guarded(kind, allowed, trt):
    """The class with nothing but what the library's own has; each call is noted."""

    def get(self, name):
        if not name.startswith("_") and name not in allowed:
            raise AttributeError(f"this library's {kind.__name__} has no {name}")
        if not name.startswith("_"):
            trt.calls.append(f"{kind.__name__}.{name}")
        return object.__getattribute__(self, name)

    def put(self, name, value):
        if not name.startswith("_") and name not in allowed:
            raise AttributeError(f"this library's {kind.__name__} has no {name}")
        object.__setattr__(self, name, value)
        if not name.startswith("_"):
            trt.calls.append(f"{kind.__name__}.{name} =")

    return type(kind.__name__, (kind,), {"_trt": trt, "__getattribute__": get, "__setattr__": put})


class Builder:
    def __init__(self, logger):
        self._logger = logger

    def create_network(self, flags):
        assert flags == 1 << int(self._trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        return self._trt.INetworkDefinition()

    def create_builder_config(self):
        return self._trt.IBuilderConfig()

    def create_optimization_profile(self):
        return self._trt.IOptimizationProfile()

    def build_serialized_network(self, network, config):
        if monitor := getattr(config, "progress_monitor", None):
            monitor.phase_start("Building engine", None, 3)
            for step in range(3):
                if not monitor.step_complete("Building engine", step):
                    return None
            monitor.phase_finish("Building engine")
        plan = {
            "proto": base64.b64encode(network._proto.SerializeToString()).decode(),
            "profiles": [p._shapes for p in config._profiles],
            "flags": sorted(f.name for f in config._flags),
        }
        return json.dumps(plan).encode()


class IBuilderConfig:
    def __init__(self):
        self._profiles, self._flags, self._capabilities = [], {self._trt.BuilderFlag.TF32}, {}

    def set_flag(self, flag):
        self._flags.add(flag)

    def clear_flag(self, flag):
        self._flags.discard(flag)

    def set_memory_pool_limit(self, pool, size):
        pass

    def add_optimization_profile(self, profile):
        self._profiles.append(profile)

    def set_compute_capability(self, capability, index):
        self._capabilities[index] = capability
        return True

    def create_timing_cache(self, data):
        cache = self._trt.ITimingCache()
        cache._data = data
        return None if data == b"of another version" else cache

    def set_timing_cache(self, cache, ignore_mismatch):
        assert not ignore_mismatch
        self._cache = cache
        return True

    def get_timing_cache(self):
        return self._cache


class ITimingCache:
    def serialize(self):
        return self._data + b"+"


class IOptimizationProfile:
    def __init__(self):
        self._shapes = {}

    def set_shape(self, name, least, usual, greatest):
        self._shapes[name] = [list(least), list(usual), list(greatest)]


class INetworkDefinition:
    num_layers = 0

    @property
    def num_inputs(self):
        return len(self._proto.graph.input)

    def get_input(self, index):
        tensor = self._trt.ITensor()
        tensor.name = self._proto.graph.input[index].name
        return tensor


class ITensor:
    is_shape_tensor = False


class OnnxParser:
    num_errors = 0

    def __init__(self, network, logger):
        self._network = network

    def parse(self, data, path):
        import onnx

        self._network._proto = onnx.load_from_string(data)
        return True


class Runtime:
    def __init__(self, logger):
        self._trt.behaviour.logger = logger

    def get_engine_validity(self, data):
        validity, bits = self._trt.behaviour.validity
        return self._trt.EngineValidity(validity), bits

    def deserialize_cuda_engine(self, data):
        if not self._trt.behaviour.loads:
            return None
        engine = self._trt.ICudaEngine()
        engine._load(json.loads(bytes(data)))
        return engine


class ICudaEngine:
    weight_streaming_budget_v2 = 10

    @property
    def streamable_weights_size(self):
        return 10 if "WEIGHT_STREAMING" in self._plan["flags"] else 0

    def _load(self, plan):
        import onnx

        self._plan = plan
        self._proto = onnx.load_from_string(base64.b64decode(plan["proto"]))
        self._ports = [*self._proto.graph.output, *self._proto.graph.input]  # an engine keeps an order of its own

    @property
    def num_io_tensors(self):
        return len(self._ports)

    @property
    def num_optimization_profiles(self):
        return len(self._plan["profiles"])

    @property
    def device_memory_size_v2(self):
        return self._trt.behaviour.memory_bytes

    def get_tensor_name(self, index):
        return self._ports[index].name

    def get_tensor_mode(self, name):
        given = name in [v.name for v in self._proto.graph.input]
        return self._trt.TensorIOMode.INPUT if given else self._trt.TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name):
        import onnx

        port = next(p for p in self._ports if p.name == name)
        dtype = onnx.TensorProto.DataType.Name(port.type.tensor_type.elem_type)
        return self._trt.DataType[{"FLOAT16": "HALF", "BFLOAT16": "BF16"}.get(dtype, dtype)]

    def get_tensor_profile_shape(self, name, index):
        return self._plan["profiles"][index][name]

    def is_shape_inference_io(self, name):
        return False

    def get_weight_streaming_automatic_budget(self):
        return 5

    def create_runtime_config(self):
        return self._trt.IRuntimeConfig()

    def create_execution_context(self, *config):
        context = self._trt.IExecutionContext()
        context._engine, context._shapes, context._addresses = self, {}, {}
        try:
            device = cuda.Context()
            context._scratch = cuda.DeviceBuffer(device, self._trt.behaviour.memory_bytes)
            context._kernel = cuda.Module(device, PTX).function(KERNEL)
        except cuda.CudaError as e:
            return self._trt.behaviour.fail(e)
        return context

    def create_engine_inspector(self):
        return self._trt.EngineInspector()


class IRuntimeConfig:
    def create_runtime_cache(self):
        return self._trt.IRuntimeCache()

    def set_runtime_cache(self, cache):
        pass


class IRuntimeCache:
    def serialize(self):
        return b"compiled"

    def deserialize(self, data):
        return data == b"compiled"


class EngineInspector:
    def get_engine_information(self, layout):
        return self._trt.behaviour.inspector


class IExecutionContext:
    def set_optimization_profile_async(self, index, stream):
        return index < len(self._engine._plan["profiles"])

    def set_input_shape(self, name, shape):
        self._shapes[name] = shape
        return True

    def get_tensor_shape(self, name):
        if name in self._shapes:
            return self._shapes[name]
        if self._trt.behaviour.runs == "open":
            return (-1, 2)
        feeds = {v.name: np.zeros(self._shapes[v.name], self._type(v.name)) for v in self._engine._proto.graph.input}
        return _answers(self._engine._proto, feeds)[name].shape

    def set_tensor_address(self, name, pointer):
        self._addresses[name] = pointer
        return True

    def is_stream_capturable(self, stream):
        return bool(self._trt.behaviour.capturable)

    def execute_async_v3(self, handle):
        if not self._trt.behaviour.runs:
            return False
        try:
            stream = cuda.Stream(cuda.Context(), handle)
            if self._trt.behaviour.capturable == "said":
                with suppress(cuda.CudaError):  # a capture is lost by it, and its end says so
                    stream.synchronize()
            self._kernel.launch(stream, 1, 1, [self._trt.behaviour.network.job(self._work())])
        except cuda.CudaError as e:
            return self._trt.behaviour.fail(e) or False
        return True

    def _type(self, name):
        return self._trt.nptype(self._engine.get_tensor_dtype(name))

    def _work(self):
        """One run, with what is set now. It does not keep the context, which goes when the backend is closed."""
        network, proto = self._trt.behaviour.network, self._engine._proto
        places = {
            name: (self._addresses[name], self.get_tensor_shape(name), self._type(name)) for name in self._addresses
        }

        def work():
            feeds = {v.name: network.array(*places[v.name]) for v in proto.graph.input}
            for name, value in _answers(proto, feeds).items():
                network.array(*places[name])[...] = value

        return work


def _answers(proto, feeds):
    from onnx.reference import ReferenceEvaluator

    return dict(zip([v.name for v in proto.graph.output], ReferenceEvaluator(proto).run(None, feeds), strict=True))
