"""Runs a kernel's PTX for all threads at once, in NumPy: what a card would compute, on a machine without one.

For: kernels whose threads work alone: integers, float32, branches and loops, global memory. An instruction that is not known
here is an error by name, when the kernel is read. So is a float sum or product that a compiler may fuse (without .rn).
Not for: shared memory, barriers, atomics; speed.

Threads have their own program counters. All threads at the least one run until the end of its basic block: those that left a
loop or skipped a branch wait, and go on together. Global memory knows its allocations: an access outside of them, a misaligned
one, a store to what may only be read, a non-coherent load of what may be written, and two stores to one byte are errors that
name the instruction and a thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

BITS = {"pred": np.bool_, "8": np.uint8, "16": np.uint16, "32": np.uint32, "64": np.uint64}
TYPES = {
    "u8": np.uint8, "s8": np.int8, "b8": np.uint8, "u16": np.uint16, "s16": np.int16, "b16": np.uint16,
    "u32": np.uint32, "s32": np.int32, "b32": np.uint32, "u64": np.uint64, "s64": np.int64, "b64": np.uint64,
    "f16": np.float16, "f32": np.float32, "pred": np.bool_,
}  # fmt: skip
# What a register holds before anything was written to it.
POISON = 0xA5
# A launch that runs more than this has lost its way.
MOST_BLOCKS = 300_000
# High in the address space, so that an address that lost its upper half is found out.
GLOBAL = 0x7F12_0000_0000
PARAMETERS = 0x5500_0000_0000


class PtxError(Exception):
    """The kernel can't be read, or does what it must not."""


class Memory:
    """Global memory: allocations, with gaps between them."""

    def __init__(self, capacity: int = 64 << 20) -> None:
        self.bytes = np.zeros(capacity, np.uint8)
        # 0: nobody's; 1: may be read; 2: may be written.
        self.state = np.zeros(capacity, np.uint8)
        # Which of a store's threads wrote there in this launch; 0: none.
        self.writer = np.zeros(capacity, np.int32)
        self.end = 256

    def place(self, content: bytes | np.ndarray, *, writable: bool = False, offset: int = 0) -> int:
        """The address of an allocation with that content; `offset` bytes past a multiple of 256."""
        data = np.frombuffer(content, np.uint8) if isinstance(content, bytes) else content.reshape(-1).view(np.uint8)
        begin = -(-self.end // 256) * 256 + 256 + offset
        self.end = begin + data.size
        if self.end + 256 > self.bytes.size:
            raise MemoryError(f"simulated memory: expected at most {self.bytes.size} bytes")
        self.bytes[begin : self.end] = data
        self.state[begin : self.end] = 2 if writable else 1
        return GLOBAL + begin

    def read(self, address: int, count: int) -> np.ndarray:
        return self.bytes[address - GLOBAL : address - GLOBAL + count].copy()

    def offsets(self, addresses: np.ndarray, size: int, where: Callable[[int], str]) -> np.ndarray:
        """Of accesses of `size` bytes into the flat bytes; PtxError for the first that is off."""
        offsets = addresses.view(np.int64) - GLOBAL
        outside = (offsets < 0) | (offsets > self.bytes.size - size)
        inside = np.where(outside, 0, offsets)
        outside |= (self.state[inside] == 0) | (self.state[inside + size - 1] == 0)
        for wrong, what in ((addresses % np.uint64(size) != 0, "misaligned"), (outside, "out of bounds")):
            if wrong.any():
                at = int(np.flatnonzero(wrong)[0])
                raise PtxError(
                    f"{where(at)}: {what}: {size} bytes at {int(addresses[at]):#x}; {int(wrong.sum())} threads"
                )
        return offsets


@dataclass
class Instruction:
    text: str
    guard: str | None
    negated: bool
    opcode: list[str]
    operands: list[str]
    number: int = 0


@dataclass
class Kernel:
    """One .entry: its parameters' sizes, its basic blocks, and the first block of each label."""

    name: str
    parameters: dict[str, int]
    registers: dict[str, type]
    blocks: list[list[Instruction]] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)


_ENTRY = re.compile(r"\.visible \.entry (\w+)\((.*?)\)\s*((?:\.\w+[^{]*)?)\{\n(.*?)\n\}", re.S)
_PARAMETER = re.compile(r"\.param (?:\.align \d+ )?\.(\w+)\s+(?:\.ptr[^%\n]*?)?(\w+)(?:\[(\d+)\])?")
_REGISTERS = re.compile(r"\.reg \.(\w+)\s+(%\w+)<(\d+)>;")
_INSTRUCTION = re.compile(r"(?:@(!?)(%\w+)\s+)?([\w.]+)\s*(.*)", re.S)
_OPERAND = re.compile(r"\{[^}]*\}|\[[^\]]*\]|[^,\s]+")
_PRAGMAS = {'"nounroll"'}


def kernels(text: str) -> dict[str, Kernel]:
    """Every entry of a module. PtxError for what this interpreter does not know."""
    text = re.sub(r"//.*", "", text)
    found = {}
    for name, parameters, _, body in _ENTRY.findall(text):
        sizes = {p[1]: int(p[2]) if p[2] else np.dtype(TYPES[p[0]]).itemsize for p in _PARAMETER.findall(parameters)}
        registers = {}
        for kind, stem, _ in _REGISTERS.findall(body):
            width = "pred" if kind == "pred" else re.sub(r"\D", "", kind)
            registers[stem] = BITS[width]
        found[name] = _read(Kernel(name, sizes, registers), _REGISTERS.sub("", body))
    if len(found) != text.count(".entry"):
        raise PtxError(f"expected {text.count('.entry')} kernels, could read {len(found)}")
    return found


def _read(kernel: Kernel, body: str) -> Kernel:
    block: list[Instruction] = []
    kernel.blocks.append(block)
    number = 0
    for statement in re.split(r";|(?<=:)\n", body):
        line = statement.strip()
        if not line:
            continue
        if line.endswith(":"):
            if block:
                block = []
                kernel.blocks.append(block)
            kernel.labels[line[:-1]] = len(kernel.blocks) - 1
            continue
        if line.startswith(".pragma"):
            if line.split()[1] not in _PRAGMAS:
                raise PtxError(f"{kernel.name}: unknown: {line}")
            continue
        matched = _INSTRUCTION.fullmatch(line)
        if matched is None:
            raise PtxError(f"{kernel.name}: unknown: {line}")
        negated, guard, opcode, operands = matched.groups()
        made = Instruction(line, guard, negated == "!", opcode.split("."), _OPERAND.findall(operands), number)
        number += 1
        if made.opcode[0] not in ("bra", "ret"):
            _operation(made)
        block.append(made)
        if made.opcode[0] in ("bra", "ret"):
            block = []
            kernel.blocks.append(block)
    return kernel


# ---- Arithmetic ----


def _shift(right: bool) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def shift(a: np.ndarray, count: np.ndarray) -> np.ndarray:
        bits = a.dtype.itemsize * 8
        large = count >= bits
        near = np.where(large, 0, count).astype(a.dtype)
        # A shift by all bits leaves the sign, or nothing.
        empty = a >> a.dtype.type(bits - 1) if right and a.dtype.kind == "i" else a.dtype.type(0)
        return np.where(large, empty, a >> near if right else a << near)

    return shift


def _fma(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """One rounding: the product is exact in float64; its sum with c is rounded to odd, so that float32's rounding decides alone."""
    product, addend = a.astype(np.float64) * b.astype(np.float64), c.astype(np.float64)
    total = product + addend
    part = total - product
    error = (product - (total - part)) + (addend - part)
    even = total.view(np.int64) & 1 == 0
    odd = np.nextafter(total, np.where(error > 0, np.inf, -np.inf))
    return np.where((error != 0) & np.isfinite(error) & even, odd, total).astype(np.float32)


def _wide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    wider = np.dtype(f"{a.dtype.kind}{2 * a.dtype.itemsize}")
    return a.astype(wider) * b.astype(wider)


_COMPARE = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}  # fmt: skip
_INTEGER = ("s16", "u16", "s32", "u32", "s64", "u64")
_LOGIC = ("pred", "b16", "b32", "b64")
# Opcode without its type: (the function, the types that it may have).
_PLAIN: dict[str, tuple[Callable[..., np.ndarray], tuple[str, ...]]] = {
    "add": (np.add, _INTEGER),
    "sub": (np.subtract, _INTEGER),
    "mul.lo": (np.multiply, _INTEGER),
    "mul.wide": (_wide, ("s16", "u16", "s32", "u32")),
    "mad.lo": (lambda a, b, c: a * b + c, _INTEGER),
    "min": (np.minimum, _INTEGER),
    "max": (np.maximum, _INTEGER),
    "neg": (np.negative, ("s16", "s32", "s64", "f32")),
    "add.rn": (np.add, ("f32",)),
    "sub.rn": (np.subtract, ("f32",)),
    "mul.rn": (np.multiply, ("f32",)),
    "fma.rn": (_fma, ("f32",)),
    "and": (np.bitwise_and, _LOGIC),
    "or": (np.bitwise_or, _LOGIC),
    "xor": (np.bitwise_xor, _LOGIC),
    "not": (np.invert, _LOGIC),
    "mov": (lambda a: a, ("u16", "u32", "u64", "b16", "b32", "b64", "f32", "pred")),
    "cvta.to.global": (lambda a: a, ("u64",)),
}


def _convert(source: np.ndarray, kind: type, mode: str | None) -> np.ndarray:
    if mode == "rni":
        limits = np.iinfo(kind)
        whole = np.rint(np.nan_to_num(source.astype(np.float64), nan=0.0))
        return np.clip(whole, limits.min, limits.max).astype(kind)
    return source.astype(kind)


def _operation(i: Instruction) -> Callable[[Threads], None]:
    """What an instruction does to the threads that are active. PtxError where it is not known."""
    head, kind = i.opcode[0], i.opcode[-1]
    unknown = PtxError(f"unknown instruction: {i.text}")
    if kind not in TYPES:
        raise unknown
    stem = ".".join(i.opcode[:-1])
    if stem in _PLAIN:
        function, kinds = _PLAIN[stem]
        if kind not in kinds:
            raise unknown
        return lambda t: t.put(i.operands[0], function(*(t.get(o, TYPES[kind]) for o in i.operands[1:])))
    if stem == "mad.wide" and kind in ("s32", "u32"):
        wider = TYPES[f"{kind[0]}64"]
        return lambda t: t.put(
            i.operands[0],
            _wide(t.get(i.operands[1], TYPES[kind]), t.get(i.operands[2], TYPES[kind])) + t.get(i.operands[3], wider),
        )
    if head in ("shl", "shr") and len(i.opcode) == 2:
        shift = _shift(head == "shr")
        return lambda t: t.put(i.operands[0], shift(t.get(i.operands[1], TYPES[kind]), t.get(i.operands[2], np.uint32)))
    if head == "selp" and len(i.opcode) == 2:
        return lambda t: t.put(
            i.operands[0],
            np.where(
                t.get(i.operands[3], np.bool_), t.get(i.operands[1], TYPES[kind]), t.get(i.operands[2], TYPES[kind])
            ),
        )
    if head == "setp" and len(i.opcode) == 3 and i.opcode[1] in _COMPARE:
        compare = _COMPARE[i.opcode[1]]
        return lambda t: t.put(
            i.operands[0], compare(t.get(i.operands[1], TYPES[kind]), t.get(i.operands[2], TYPES[kind]))
        )
    if head == "cvt":
        *mode, to, source = i.opcode[1:]
        floats = (to[0] == "f", source[0] == "f")
        expected = {(True, True): ["rn"], (True, False): ["rn"], (False, True): ["rni"], (False, False): []}[floats]
        if mode != expected or to not in TYPES or (floats == (True, True) and (to, source) != ("f16", "f32")):
            raise unknown
        return lambda t: t.put(
            i.operands[0], _convert(t.get(i.operands[1], TYPES[source]), TYPES[to], mode[0] if mode else None)
        )
    if head in ("ld", "st"):
        space, *rest = i.opcode[1:-1]
        vector = 2 if "v2" in rest else 4 if "v4" in rest else 1
        known = {"ld": {("param",), ("global",), ("global", "nc")}, "st": {("global",)}}[head]
        if (space, *(r for r in rest if r not in ("v2", "v4"))) not in known:
            raise unknown
        move = _load if head == "ld" else _store
        return lambda t: move(t, i, TYPES[kind], vector, "nc" in rest)
    raise unknown


def _names(operand: str) -> list[str]:
    return [n.strip() for n in operand.strip("{}").split(",")]


def _load(t: Threads, i: Instruction, kind: type, vector: int, coherent_not: bool) -> None:
    size = np.dtype(kind).itemsize
    addresses = t.address(i.operands[1])
    names = _names(i.operands[0])
    if i.opcode[1] == "param":
        offsets = addresses.view(np.int64) - PARAMETERS
        if offsets.min() < 0 or offsets.max() + size * vector > t.parameter_bytes.size:
            raise PtxError(f"{i.text}: outside the parameters")
        for n, name in enumerate(names):
            index = offsets + n * size
            t.put(name, t.parameter_bytes[index[:, None] + np.arange(size)].copy().view(kind)[:, 0])
        return
    offsets = t.memory.offsets(addresses, size * vector, t.where(i))
    if coherent_not and (t.memory.state[offsets] == 2).any():
        raise PtxError(f"{i.text}: a non-coherent load of memory that may be written")
    elements = t.memory.bytes.view(kind)
    for n, name in enumerate(names):
        t.put(name, elements[offsets // size + n])


def _store(t: Threads, i: Instruction, kind: type, vector: int, _: bool) -> None:
    size = np.dtype(kind).itemsize
    addresses = t.address(i.operands[0])
    offsets = t.memory.offsets(addresses, size * vector, t.where(i))
    if (t.memory.state[offsets] != 2).any():
        raise PtxError(f"{i.text}: a store to memory that may only be read")
    elements = t.memory.bytes.view(kind)
    for n, name in enumerate(_names(i.operands[1])):
        at = offsets + n * size
        numbers = np.arange(1, at.size + 1, dtype=np.int32)
        twice = t.memory.writer[at].any()
        t.memory.writer[at] = numbers
        if twice or (t.memory.writer[at] != numbers).any():
            raise PtxError(f"{i.text}: two stores to one byte")
        elements[at // size] = t.get(name, kind)


# ---- Threads ----


class Threads:
    """The registers of all threads of a launch, and which threads are active."""

    def __init__(
        self,
        kernel: Kernel,
        memory: Memory,
        arguments: tuple[bytes, ...],
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
    ) -> None:
        self.kernel, self.memory = kernel, memory
        sizes = list(kernel.parameters.values())
        if [len(a) for a in arguments] != sizes:
            raise PtxError(f"{kernel.name}: expected arguments of {sizes} bytes, got {[len(a) for a in arguments]}")
        self.parameters: dict[str, int] = {}
        joined = b""
        for name, argument in zip(kernel.parameters, arguments, strict=True):
            joined += b"\0" * (-len(joined) % 16)
            self.parameters[name] = PARAMETERS + len(joined)
            joined += argument
        self.parameter_bytes = np.frombuffer(joined, np.uint8)
        self.count = int(np.prod(grid)) * int(np.prod(block))
        index = np.arange(self.count, dtype=np.uint32)
        self.special: dict[str, np.ndarray] = {}
        for stem, sides in (("%tid", block), ("%ctaid", grid)):
            for axis, side in zip("xyz", sides, strict=True):
                self.special[f"{stem}.{axis}"] = index % np.uint32(side)
                index = index // np.uint32(side)
        for axis, threads, blocks in zip("xyz", block, grid, strict=True):
            self.special[f"%ntid.{axis}"] = np.full(self.count, threads, np.uint32)
            self.special[f"%nctaid.{axis}"] = np.full(self.count, blocks, np.uint32)
        self.registers: dict[str, np.ndarray] = {}
        self.lanes: slice | np.ndarray = slice(None)
        self.active = self.count

    def get(self, operand: str, kind: type) -> np.ndarray:
        """The active threads' values, read as that type: the low bits of a wider register."""
        if operand in self.special:
            return self.special[operand][self.lanes].view(kind)
        if operand.startswith("%"):
            if operand not in self.registers:
                raise PtxError(f"{self.kernel.name}: {operand} is read before it is written")
            bits = self.registers[operand][self.lanes]
            wanted = np.dtype(kind)
            if bits.dtype == np.bool_ or wanted == np.bool_:
                if bits.dtype != wanted:
                    raise PtxError(
                        f"{self.kernel.name}: {operand} is a predicate where a number is read, or the other way"
                    )
                return bits
            if wanted.itemsize > bits.dtype.itemsize:
                raise PtxError(f"{self.kernel.name}: {operand} is narrower than {wanted}")
            return bits.astype(f"u{wanted.itemsize}").view(wanted)
        if operand in self.parameters:
            return np.full(self.active, self.parameters[operand], kind)
        if operand.startswith("0f"):
            return np.full(self.active, np.array(int(operand[2:], 16), np.uint32).view(np.float32))
        return (
            np.full(self.active, int(operand, 0) % (1 << 64), np.uint64)
            .astype(f"u{np.dtype(kind).itemsize}")
            .view(kind)
        )

    def put(self, register: str, values: np.ndarray) -> None:
        """To the active threads' register: widened to its width as the value's type says."""
        kind = self.kernel.registers[register.rstrip("0123456789")]
        if register not in self.registers:
            self.registers[register] = np.full(self.count * np.dtype(kind).itemsize, POISON, np.uint8).view(kind)
        values = np.ascontiguousarray(values)
        if kind != np.bool_:
            size = np.dtype(kind).itemsize
            if values.dtype.itemsize > size:
                raise PtxError(f"{self.kernel.name}: {values.dtype} does not fit into {register}")
            if values.dtype.itemsize < size:
                # Floats of 16 bits lie in their register as they are.
                narrow = values.view(f"u{values.dtype.itemsize}") if values.dtype.kind == "f" else values
                values = narrow.astype(f"{'i' if narrow.dtype.kind == 'i' else 'u'}{size}")
            values = values.view(kind)
        self.registers[register][self.lanes] = values

    def address(self, operand: str) -> np.ndarray:
        base, _, offset = operand.strip("[]").partition("+")
        return self.get(base, np.uint64) + np.uint64(int(offset or 0) % (1 << 64))

    def where(self, i: Instruction) -> Callable[[int], str]:
        def text(at: int) -> str:
            thread = int(np.arange(self.count)[self.lanes][at])
            named = {s: int(self.special[s][thread]) for s in self.special if s.startswith(("%tid", "%ctaid"))}
            return f"{self.kernel.name}: {i.text}: thread {named}"

        return text

    def run(self) -> set[int]:
        """Until every thread has returned. The numbers of the instructions that any thread ran, as Instruction.number."""
        blocks = [
            [(i, None if i.opcode[0] in ("bra", "ret") else _operation(i)) for i in b] for b in self.kernel.blocks
        ]
        at = np.zeros(self.count, np.int32)
        ran: set[int] = set()
        with np.errstate(all="ignore"):
            for _ in range(MOST_BLOCKS):
                number = int(at.min())
                if number >= len(blocks):
                    return ran
                chosen = np.flatnonzero(at == number)
                self._choose(chosen)
                at[self.lanes] = number + 1
                for instruction, operation in blocks[number]:
                    lanes = chosen
                    if instruction.guard is not None:
                        lanes = chosen[self.get(instruction.guard, np.bool_) ^ instruction.negated]
                    if lanes.size:
                        ran.add(instruction.number)
                    if operation is None:
                        target = len(blocks)
                        if instruction.opcode[0] == "bra":
                            target = self.kernel.labels[instruction.operands[0]]
                        at[lanes] = target
                    elif lanes.size:
                        if lanes is not chosen:
                            self._choose(lanes)
                        operation(self)
                        if lanes is not chosen:
                            self._choose(chosen)
        raise PtxError(f"{self.kernel.name}: ran {MOST_BLOCKS} basic blocks and has not ended")

    def _choose(self, lanes: np.ndarray) -> None:
        self.active = lanes.size
        self.lanes = slice(None) if lanes.size == self.count else lanes


def launch(
    kernel: Kernel,
    memory: Memory,
    grid: tuple[int, int, int],
    block: tuple[int, int, int],
    arguments: tuple[bytes, ...],
) -> set[int]:
    """Runs a kernel; the numbers of the instructions that any thread ran."""
    memory.writer[: memory.end] = 0
    return Threads(kernel, memory, arguments, grid, block).run()
