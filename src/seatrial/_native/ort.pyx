# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=True
# Joins csrc/ort to Python: a model loaded through ONNX Runtime's C API, and requests to it with bound buffers.
cimport cython
from libc.stdint cimport int64_t
from libc.string cimport memcpy
from libcpp cimport bool as cbool
from libcpp.pair cimport pair
from libcpp.string cimport string
from libcpp.vector cimport vector

from os import fsencode

import numpy as np

from seatrial._native.timing cimport CStageSamples, CWork, Work

cdef extern from "ort/api.hpp" namespace "seatrial::ort" nogil:
    cdef cppclass CLibrary "seatrial::ort::Library":
        string version
        @staticmethod
        const CLibrary& load(const string& path) except +

cdef extern from "ort/session.hpp" namespace "seatrial::ort" nogil:
    cdef cppclass CPort "seatrial::ort::Port":
        string name
        int type
        vector[int64_t] shape
    cdef cppclass CSettings "seatrial::ort::SessionSettings":
        int threads
        int inter_threads
        cbool parallel
        int graph_optimization
        cbool arena
        cbool memory_pattern
        string provider
        vector[pair[string, string]] config
        vector[pair[string, string]] provider_options
        vector[pair[string, int64_t]] named_sizes
        string plugin
        int plugin_device
        int device
        cbool captured
    cdef cppclass CAssigned "seatrial::ort::Assigned":
        string provider
        string domain
        string kind
        string name
    cbool _reads_host_memory "seatrial::ort::reads_host_memory"(const string& provider) except +
    cdef cppclass CModel "seatrial::ort::LoadedModel":
        CModel(const CLibrary& library, const string& path, const CSettings& settings) except +
        const vector[CPort]& inputs()
        const vector[CPort]& outputs()
        vector[CAssigned] assigned() except +
    cdef cppclass CRequest "seatrial::ort::Request":
        CRequest(const CModel& model, cbool on_device) except +
        void bind_input(size_t index, void* data, size_t bytes, const vector[int64_t]& shape) except +
        void bind_output(size_t index, void* data, size_t bytes, const vector[int64_t]& shape) except +
        void leave_output(size_t index) except +
        cbool run() noexcept
        string take_error() noexcept
        void fetch() except +
        CPort fetched_port(size_t index) except +
        const void* fetched_data(size_t index) except +
        @staticmethod
        int call(void* self, CStageSamples& samples) noexcept

# By the numbers of ONNX's TensorProto.DataType, which ONNX Runtime shares.
_DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
    11: "float64", 12: "uint32", 13: "uint64",
}


def library_version(str path) -> str:
    return CLibrary.load(fsencode(path)).version.decode()


def reads_host_memory(str provider) -> bool:
    return _reads_host_memory(provider.encode())


cdef list _ports(vector[CPort] ports):
    return [
        (p.name.decode(), tuple(None if d < 0 else d for d in p.shape), _DTYPES.get(p.type, "unknown")) for p in ports
    ]


cdef vector[pair[string, string]] _entries(entries):
    cdef vector[pair[string, string]] found
    for key, value in (entries or {}).items():
        found.push_back(pair[string, string](<string>key.encode(), <string>value.encode()))
    return found


cdef class LoadedModel:
    cdef CModel* model

    def __cinit__(
        self, str library, str path, int threads=1, str provider="CPUExecutionProvider", named_sizes=None, *,
        int inter_threads=1, bint parallel=False, int graph_optimization=99, bint arena=True, bint memory_pattern=True,
        config=None, provider_options=None, str plugin="", int plugin_device=0, int device=0, bint captured=False,
    ):
        cdef CSettings settings
        settings.threads = threads
        settings.inter_threads = inter_threads
        settings.parallel = parallel
        settings.graph_optimization = graph_optimization
        settings.arena = arena
        settings.memory_pattern = memory_pattern
        settings.provider = provider.encode()
        settings.config = _entries(config)
        settings.provider_options = _entries(provider_options)
        settings.plugin = fsencode(plugin)
        settings.plugin_device = plugin_device
        settings.device = device
        settings.captured = captured
        for name, size in (named_sizes or {}).items():
            settings.named_sizes.push_back(pair[string, int64_t](<string>name.encode(), <int64_t>size))
        cdef string file = fsencode(path)
        cdef const CLibrary* lib = &CLibrary.load(fsencode(library))
        with nogil:
            self.model = new CModel(lib[0], file, settings)

    def __dealloc__(self):
        del self.model

    @property
    def inputs(self):
        return _ports(self.model.inputs())

    @property
    def outputs(self):
        return _ports(self.model.outputs())

    def assigned(self):
        cdef vector[CAssigned] rows = self.model.assigned()
        return [(r.provider.decode(), r.domain.decode(), r.kind.decode(), r.name.decode()) for r in rows]


# Collected in a cycle, a request is still released before the model and the arrays that it uses.
@cython.no_gc_clear
cdef class Request(Work):
    cdef CRequest* request
    cdef LoadedModel loaded
    cdef dict kept

    def __cinit__(self, LoadedModel model not None, bint on_device=False):
        self.loaded = model
        self.kept = {}
        self.request = new CRequest(model.model[0], on_device)
        self.c.call = CRequest.call
        self.c.self = self.request

    def __dealloc__(self):
        del self.request

    cdef vector[int64_t] _checked(self, array, ports, Py_ssize_t index, bint writable) except *:
        if not 0 <= index < len(ports):
            raise IndexError(f"expected an index below {len(ports)}, got {index}")
        name, shape, dtype = ports[index]
        # A name does not tell the byte order.
        if array.dtype.name != dtype or not array.dtype.isnative:
            raise ValueError(f"{name}: expected {dtype}, got {array.dtype.name if array.dtype.name != dtype else array.dtype.str}")
        if not array.flags.c_contiguous or (writable and not array.flags.writeable):
            raise ValueError(f"{name}: expected a contiguous{' writable' if writable else ''} array")
        fits = len(shape) == array.ndim and all(d is None or d == s for d, s in zip(shape, array.shape))
        # Of an input without dimensions ONNX Runtime does not say whether it is a scalar or of any rank, and takes any shape.
        if not fits and (writable or shape):
            raise ValueError(f"{name}: expected shape {['?' if d is None else d for d in shape]}, got {list(array.shape)}")
        return array.shape

    def bind_input(self, Py_ssize_t index, array):
        cdef vector[int64_t] shape = self._checked(array, self.loaded.inputs, index, False)
        cdef size_t data = array.ctypes.data
        self.request.bind_input(index, <void*>data, array.nbytes, shape)
        self.kept["input", index] = array

    def bind_output(self, Py_ssize_t index, array):
        cdef vector[int64_t] shape = self._checked(array, self.loaded.outputs, index, True)
        cdef size_t data = array.ctypes.data
        self.request.bind_output(index, <void*>data, array.nbytes, shape)
        self.kept["output", index] = array

    def leave_output(self, Py_ssize_t index):
        self.request.leave_output(index)

    def run(self):
        cdef cbool ok
        with nogil:
            ok = self.request.run()
        if not ok:
            self.check()

    cpdef void check(self) except *:
        cdef string reason = self.request.take_error()
        if not reason.empty():
            raise RuntimeError(reason.decode(errors="replace"))

    def fetch(self, Py_ssize_t index):
        self.request.fetch()
        cdef CPort port = self.request.fetched_port(index)
        name = _DTYPES.get(port.type)
        if name is None:
            raise ValueError(f"output {index} is of ONNX type {port.type}, which has no NumPy dtype")
        out = np.empty(tuple(port.shape), name)
        cdef size_t target = out.ctypes.data
        if out.nbytes:
            memcpy(<void*>target, self.request.fetched_data(index), out.nbytes)
        return out
