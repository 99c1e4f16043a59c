# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=True
# DLPack's capsules, in and out. Knows the structures and who frees what; what a tensor means is seatrial.cuda.interop's.
cimport cython
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid, PyCapsule_New, PyCapsule_SetName
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc

cdef extern from "cuda/dlpack.hpp" namespace "seatrial::cuda" nogil:
    cdef cppclass DlDevice:
        int32_t type, id
    cdef cppclass DlType:
        uint8_t code, bits
        uint16_t lanes
    cdef cppclass DlTensor:
        void* data
        DlDevice device
        int32_t ndim
        DlType dtype
        int64_t* shape
        int64_t* strides
        uint64_t byte_offset
    cdef cppclass DlManaged:
        DlTensor tensor
        void* owner
        void (*deleter)(DlManaged*) noexcept
    cdef cppclass DlVersioned:
        uint32_t major, minor
        void* owner
        void (*deleter)(DlVersioned*) noexcept
        uint64_t flags
        DlTensor tensor
    uint64_t kDlReadOnly

cdef const char* PLAIN = "dltensor"
cdef const char* VERSIONED = "dltensor_versioned"


cdef void _delete_plain(DlManaged* managed) noexcept with gil:
    Py_DECREF(<object>managed.owner)
    free(managed.tensor.shape)
    free(managed)


cdef void _delete_versioned(DlVersioned* managed) noexcept with gil:
    Py_DECREF(<object>managed.owner)
    free(managed.tensor.shape)
    free(managed)


# Nobody took it.
cdef void _forget(object capsule) noexcept:
    cdef DlManaged* plain
    cdef DlVersioned* versioned
    if PyCapsule_IsValid(capsule, PLAIN):
        plain = <DlManaged*>PyCapsule_GetPointer(capsule, PLAIN)
        plain.deleter(plain)
    elif PyCapsule_IsValid(capsule, VERSIONED):
        versioned = <DlVersioned*>PyCapsule_GetPointer(capsule, VERSIONED)
        versioned.deleter(versioned)


cdef int _fill(DlTensor* tensor, uintptr_t pointer, tuple shape, tuple strides, tuple dtype, tuple device) except -1:
    cdef Py_ssize_t rank = len(shape)
    tensor.data = <void*>pointer
    tensor.device.type, tensor.device.id = device
    tensor.ndim = <int32_t>rank
    tensor.dtype.code, tensor.dtype.bits = dtype
    tensor.dtype.lanes = 1
    tensor.byte_offset = 0
    tensor.shape = <int64_t*>malloc(max(1, 2 * rank) * sizeof(int64_t))
    if not tensor.shape:
        raise MemoryError
    tensor.strides = tensor.shape + rank
    for i in range(rank):
        tensor.shape[i], tensor.strides[i] = shape[i], strides[i]
    return 0


def give(uintptr_t pointer, tuple shape, tuple strides, tuple dtype, tuple device, owner, *, bint read_only, bint versioned):
    if len(strides) != len(shape):
        raise ValueError(f"strides: expected {len(shape)}, one a dimension, got {len(strides)}")
    cdef DlManaged* plain
    cdef DlVersioned* whole
    if versioned:
        whole = <DlVersioned*>malloc(sizeof(DlVersioned))
        if not whole:
            raise MemoryError
        whole.tensor.shape = NULL
        try:
            _fill(&whole.tensor, pointer, shape, strides, dtype, device)
            whole.major, whole.minor = 1, 0
            whole.flags = kDlReadOnly if read_only else 0
            whole.owner = <void*>owner
            whole.deleter = _delete_versioned
            capsule = PyCapsule_New(whole, VERSIONED, _forget)
        except:
            free(whole.tensor.shape)
            free(whole)
            raise
    else:
        plain = <DlManaged*>malloc(sizeof(DlManaged))
        if not plain:
            raise MemoryError
        plain.tensor.shape = NULL
        try:
            _fill(&plain.tensor, pointer, shape, strides, dtype, device)
            plain.owner = <void*>owner
            plain.deleter = _delete_plain
            capsule = PyCapsule_New(plain, PLAIN, _forget)
        except:
            free(plain.tensor.shape)
            free(plain)
            raise
    # Nobody can ask for the deleter before here.
    Py_INCREF(owner)
    return capsule


@cython.no_gc
cdef class Taken:
    cdef DlManaged* plain
    cdef DlVersioned* versioned
    cdef DlTensor* tensor
    cdef readonly bint read_only

    def __cinit__(self, capsule):
        if PyCapsule_IsValid(capsule, VERSIONED):
            self.versioned = <DlVersioned*>PyCapsule_GetPointer(capsule, VERSIONED)
            if self.versioned.major != 1:
                major = self.versioned.major
                self.versioned = NULL
                raise BufferError(f"expected a DLPack tensor of version 1, got version {major}")
            self.tensor = &self.versioned.tensor
            self.read_only = (self.versioned.flags & kDlReadOnly) != 0
            PyCapsule_SetName(capsule, "used_dltensor_versioned")
        elif PyCapsule_IsValid(capsule, PLAIN):
            self.plain = <DlManaged*>PyCapsule_GetPointer(capsule, PLAIN)
            self.tensor = &self.plain.tensor
            PyCapsule_SetName(capsule, "used_dltensor")
        else:
            raise BufferError("expected a DLPack capsule that nobody has taken yet")

    def __dealloc__(self):
        if self.versioned and self.versioned.deleter:
            self.versioned.deleter(self.versioned)
        if self.plain and self.plain.deleter:
            self.plain.deleter(self.plain)

    @property
    def pointer(self) -> int:
        return <uintptr_t>self.tensor.data + self.tensor.byte_offset

    @property
    def shape(self) -> tuple:
        return tuple(self.tensor.shape[i] for i in range(self.tensor.ndim))

    @property
    def strides(self):
        if not self.tensor.strides:
            return None
        return tuple(self.tensor.strides[i] for i in range(self.tensor.ndim))

    @property
    def dtype(self) -> tuple:
        return self.tensor.dtype.code, self.tensor.dtype.bits, self.tensor.dtype.lanes

    @property
    def device(self) -> tuple:
        return self.tensor.device.type, self.tensor.device.id
