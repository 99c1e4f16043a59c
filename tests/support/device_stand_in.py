"""A stand-in for seatrial.cuda over host memory: streams that do at once what they are asked, or keep it for a graph.

For: the order of calls and every error of what runs on a device, without one. Not for: the driver (simulated_cuda.cpp plays that).
"""

from itertools import count


class CudaError(RuntimeError):
    pass


class OutOfDeviceMemoryError(CudaError):
    pass


class Machine:
    """One simulated device. free_bytes: what is left; faults: names of calls that fail, each with its text."""

    def __init__(self, free_bytes=1 << 30):
        self.free_bytes, self.calls, self.faults = free_bytes, [], {}
        self.memory, self.streams = {}, {}
        self._pointers = count(0x1000, 0x1000)
        machine = self

        class Context:
            def memory_info(self):
                if "memory_info" in machine.faults:
                    raise CudaError(machine.faults["memory_info"])
                return machine.free_bytes, 1 << 31

        class DeviceBuffer:
            def __init__(self, context, nbytes):
                if nbytes > machine.free_bytes:
                    raise OutOfDeviceMemoryError(f"cuMemAlloc_v2: out of memory for {nbytes} bytes")
                self.pointer, self.nbytes = next(machine._pointers), nbytes
                machine.memory[self.pointer] = bytearray(nbytes)
                machine.free_bytes -= nbytes

        class PinnedBuffer(bytearray):
            def __init__(self, context, nbytes):
                super().__init__(nbytes)

            @property
            def nbytes(self):
                return len(self)

        class Stream:
            def __init__(self, context):
                self.handle, self.kept = next(machine._pointers), None
                machine.streams[self.handle] = self

            def do(self, name, work):
                machine.calls.append(f"capture {name}" if self.kept is not None else name)
                if name in machine.faults:
                    raise CudaError(machine.faults[name])
                if self.kept is not None:
                    self.kept.append(work)
                else:
                    work()

            def copy_to_device(self, to, source):
                def copy():
                    machine.memory[to.pointer][:] = source

                self.do("copy_to_device", copy)

            def copy_to_host(self, to, source):
                def copy():
                    to[:] = machine.memory[source.pointer]

                self.do("copy_to_host", copy)

            def synchronize(self):
                self.do("synchronize", lambda: None)

            def begin_capture(self):
                self.kept = []

            def end_capture(self):
                kept, self.kept = self.kept, None
                if "end_capture" in machine.faults:
                    raise CudaError(machine.faults["end_capture"])
                return Graph(kept)

        class Graph:
            def __init__(self, kept):
                self.kept = kept

            def launch(self, stream):
                machine.calls.append("launch")
                for work in self.kept:
                    work()

        def captured(stream, enqueue):
            stream.begin_capture()
            try:
                if enqueue(stream.handle) is False:
                    raise CudaError("what was to be captured gave False")
            except BaseException:
                stream.kept = None
                raise
            return stream.end_capture()

        class Slot:
            def __init__(self, compute, to_device=(), to_host=()):
                self.compute, self.to_device, self.to_host = compute, to_device, to_host

        class Request:
            def __init__(self, stream, slots, **settings):
                self.stream, self.slots, self.settings = stream, slots, settings

            def run(self, slot=0):
                each = self.slots[slot]
                for device, host in each.to_device:
                    self.stream.copy_to_device(device, host)
                each.compute.launch(self.stream) if isinstance(each.compute, Graph) else each.compute(
                    self.stream.handle
                )
                for host, device in each.to_host:
                    self.stream.copy_to_host(host, device)
                self.stream.synchronize()

        self.captured, self.Slot, self.Request = captured, Slot, Request
        self.Context, self.DeviceBuffer, self.PinnedBuffer, self.Stream = Context, DeviceBuffer, PinnedBuffer, Stream
        self.CudaError, self.OutOfDeviceMemoryError = CudaError, OutOfDeviceMemoryError
