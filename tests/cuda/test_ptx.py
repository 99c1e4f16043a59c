"""The PTX that ships, run by the interpreter of tests/support/ptx.py: the bits of the CPU kernels. And the interpreter itself."""

import ctypes
import hashlib
import json
from pathlib import Path

import numpy as np
import ptx
import pytest
from device_preprocess import Card, Host, case, committed_kernels, picture, run, same_bits

from seatrial.cuda import ptx as shipped
from seatrial.cuda.layouts import KINDS, METHODS
from seatrial.errors import BackendUnavailableError
from seatrial.kernels.preprocess import Preprocess

ROOT = Path(__file__).parents[2]


def differing(seed: int, pixels: int, largest: int) -> tuple[int, int, set[str]]:
    """(values that differ from the CPU kernels', pixels compared, kernels that ran) over random cases."""
    rng = np.random.default_rng(seed)
    bad = done = 0
    functions: set[str] = set()

    class Watched(Card):
        def launch(self, launch):
            functions.add(launch.function)
            super().launch(launch)

    while done < pixels:
        preprocess, images = case(rng, largest)
        expected = preprocess.batch(images)
        got = run(Watched(capacity=24 << 20), preprocess, images, rng)
        wrong = same_bits(got, expected)
        assert wrong == 0, (preprocess, [np.shape(i[0] if isinstance(i, tuple) else i) for i in images])
        bad += wrong
        done += expected.size // preprocess.channels
    return bad, done, functions


def test_the_ptx_has_every_kernel():
    assert set(committed_kernels()) == {f"seatrial_preprocess_{m}_{k}" for m in METHODS for k in KINDS}


def test_no_value_differs_from_the_cpu_kernels():
    bad, done, _ = differing(seed=5, pixels=60_000, largest=40)
    assert bad == 0
    assert done >= 60_000


@pytest.mark.slow
def test_no_value_of_a_million_random_pixels_differs():
    bad, done, functions = differing(seed=14, pixels=1_000_000, largest=90)
    assert bad == 0
    assert done >= 1_000_000
    assert functions == set(committed_kernels())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_each_kernel_equals_the_body_built_by_gpp(method, kind):
    interpolation, source, size = {
        "copy": ("linear", (9, 11), (9, 11)),
        "nearest": ("nearest", (17, 23), (9, 11)),
        "linear": ("linear", (17, 23), (9, 11)),
        "halve": ("linear", (18, 22), (9, 11)),
        "box": ("area", (27, 22), (9, 11)),
        "runs": ("area", (31, 23), (9, 11)),
        "cubic": ("cubic", (17, 23), (9, 11)),
        "width_first": ("antialias_cubic", (17, 23), (9, 11)),
        "height_first": ("antialias_linear", (57, 14), (9, 11)),
    }[method]
    input_color = {"gray": "gray", "color": "bgra", "planes": "nv12"}[kind]
    color = "gray" if kind == "gray" else "rgb"
    preprocess = Preprocess(
        size=size, mode="stretch", interpolation=interpolation, input_color=input_color, color=color
    )
    image = picture(np.random.default_rng(1), *source, input_color)
    ran = set()

    class Watched(Card):
        def launch(self, launch):
            ran.add(launch.function)
            super().launch(launch)

    got = run(Watched(capacity=1 << 20), preprocess, [image])
    assert ran == {f"seatrial_preprocess_{method}_{kind}"}
    assert same_bits(got, run(Host(), preprocess, [image])) == 0
    assert same_bits(got, preprocess(image)) == 0


# ---- What ships ----


def test_the_committed_ptx_is_of_these_sources():
    facts = json.loads((ROOT / "src/seatrial/cuda/preprocess.json").read_text())
    digest = hashlib.sha256()
    for name in ("body.hpp", "kernels.cu"):
        content = (ROOT / "csrc/cuda/preprocess" / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    cure = "body.hpp or kernels.cu has changed: run tools/ptx/build.py and commit what it writes"
    assert facts["source_sha256"] == digest.hexdigest(), cure
    assert facts["source_sha256"] in shipped.preprocess_ptx().text.splitlines()[0], cure


def test_the_header_is_one_that_older_drivers_take():
    assert shipped.preprocess_ptx().text.splitlines()[1:4] == [
        ".version 7.0", ".target sm_75", ".address_size 64",
    ]  # fmt: skip


def test_a_ptx_that_is_not_the_one_built_is_refused(monkeypatch, tmp_path):
    for name in ("preprocess.ptx", "preprocess.json"):
        (tmp_path / name).write_bytes((ROOT / "src/seatrial/cuda" / name).read_bytes())
    (tmp_path / "preprocess.ptx").write_bytes(
        (tmp_path / "preprocess.ptx").read_bytes().replace(b"shr.s32", b"shr.u32", 1)
    )
    monkeypatch.setattr(shipped, "files", lambda _: tmp_path)
    with pytest.raises(
        BackendUnavailableError, match=r"^preprocess.ptx: expected the kernels of sha256 \w+, got \w+; reinstall"
    ):
        shipped.preprocess_ptx.__wrapped__()
    (tmp_path / "preprocess.json").write_text("{")
    with pytest.raises(BackendUnavailableError, match=r"^preprocess.ptx: the kernels cannot be read \(.*; reinstall"):
        shipped.preprocess_ptx.__wrapped__()
    (tmp_path / "preprocess.ptx").unlink()
    with pytest.raises(BackendUnavailableError, match=r"^preprocess.ptx: the kernels cannot be read \(.*; reinstall"):
        shipped.preprocess_ptx.__wrapped__()


# ---- A wrong kernel is found ----

SWAPS = {
    "add": "sub", "sub": "add", "min": "max", "max": "min", "shr": "shl", "shl": "shr", "and": "or", "or": "and",
    "ge": "lt", "gt": "le", "lt": "ge", "le": "gt", "eq": "ne", "ne": "eq",
}  # fmt: skip


def mutants(instruction: ptx.Instruction):
    """Instructions that are one step off: another operation, another condition, another number."""
    where = 1 if instruction.opcode[0] == "setp" else 0
    if instruction.opcode[where] in SWAPS and instruction.opcode[-1] != "pred":
        opcode = list(instruction.opcode)
        opcode[where] = SWAPS[opcode[where]]
        yield opcode, instruction.operands
    if instruction.opcode[0] not in ("bra", "ld", "st"):
        for at, operand in enumerate(instruction.operands[1:], 1):
            if operand.lstrip("-").isdigit():
                operands = list(instruction.operands)
                operands[at] = str(int(operand) + 1)
                yield instruction.opcode, operands
    elif instruction.opcode[0] == "ld" and "nc" in instruction.opcode and "+" in instruction.operands[1]:
        base, _, offset = instruction.operands[1].strip("[]").partition("+")
        yield instruction.opcode, [instruction.operands[0], f"[{base}+{int(offset) + 1}]"]


@pytest.mark.slow
def test_a_kernel_that_is_one_step_off_is_found():
    """Each instruction of the linear kernel is changed, one at a time: another value, or an error, must show."""
    name = "seatrial_preprocess_linear_color"
    rng = np.random.default_rng(0)
    cases = [
        (Preprocess(size=(70, 37), std=(0.2, 0.3, 0.4), mean=(0.5, 0.4, 0.3)), [picture(rng, 95, 41, "bgr")]),
        (
            Preprocess(size=(70, 37), color="bgr", layout="nhwc"),
            [picture(rng, 95, 41, "bgr"), picture(rng, 35, 90, "bgr")],
        ),
        (Preprocess(size=(70, 37), color="gray", dtype="float16"), [picture(rng, 95, 41, "bgr")]),
        (Preprocess(size=(70, 37), color="gray", dtype="uint8", scale=1, pad_value=7), [picture(rng, 95, 41, "bgr")]),
        (Preprocess(size=(70, 37), dtype="uint8", scale=1), [picture(rng, 95, 41, "bgr")]),
        (Preprocess(size=(70, 37), dtype="uint8", quant_scale=0.01), [picture(rng, 95, 41, "bgr")]),
        (Preprocess(size=(70, 37), scale=1e36, std=(1e-1, 1e0, 1e1)), [picture(rng, 95, 41, "bgr")]),
        (Preprocess(size=(70, 37), dtype="float16", mean=(0.1, 0.2, 0.3)), [picture(rng, 95, 41, "bgr")]),
        (Preprocess(size=(70, 37), mode="stretch"), [picture(rng, 20, 15, "bgr")]),
        (Preprocess(size=(170, 137), mode="stretch", color="gray", input_color="rgb"), [picture(rng, 20, 15, "bgr")]),
    ]
    expected, ran = [], set()
    for preprocess, images in cases:
        card = Card(capacity=1 << 20)
        expected.append(run(card, preprocess, images))
        ran |= card.ran
    survivors, tried = [], 0
    for block in committed_kernels()[name].blocks:
        for instruction in block:
            for opcode, operands in mutants(instruction) if instruction.number in ran else ():
                before = instruction.opcode, instruction.operands
                instruction.opcode, instruction.operands = opcode, operands
                tried += 1
                try:
                    found = any(
                        same_bits(run(Card(capacity=1 << 20), *one), wanted)
                        for one, wanted in zip(cases, expected, strict=True)
                    )
                except ptx.PtxError:
                    found = True
                finally:
                    instruction.opcode, instruction.operands = before
                if not found:
                    survivors.append(f"{instruction.text} -> {'.'.join(opcode)} {operands}")
    # What is left changes no value: the first number of a register that is written before it is read, a bound that another
    # bound implies, a comparison of a type with a number that no type has there.
    assert tried > 200
    assert len(survivors) <= 0.06 * tried, survivors


# ---- The interpreter ----

HEADER = ".version 7.0\n.target sm_75\n.address_size 64\n"
REGISTERS = """
    .reg .pred %p<9>;
    .reg .b16 %rs<9>;
    .reg .f32 %f<9>;
    .reg .b32 %r<9>;
    .reg .b64 %rd<9>;
"""


def module(body: str) -> dict[str, ptx.Kernel]:
    return ptx.kernels(f"{HEADER}.visible .entry k(\n\t.param .u64 k_param_0\n)\n{{{REGISTERS}{body}\n}}\n")


def execute(body: str, content: np.ndarray, threads: int = 4, *, writable: bool = True) -> np.ndarray:
    memory = ptx.Memory(1 << 16)
    address = memory.place(content, writable=writable)
    ptx.launch(module(body)["k"], memory, (1, 1, 1), (threads, 1, 1), (address.to_bytes(8, "little"),))
    return memory.read(address, content.nbytes).view(content.dtype)


ADDRESS = """
    ld.param.u64 %rd1, [k_param_0];
    cvta.to.global.u64 %rd2, %rd1;
    mov.u32 %r1, %tid.x;
    mul.wide.u32 %rd3, %r1, 4;
    add.s64 %rd4, %rd2, %rd3;
"""


def test_threads_that_leave_a_loop_wait_for_the_others():
    body = f"""{ADDRESS}
    mov.u32 %r2, 0;
    mov.u32 %r3, 100;
$L__1:
    setp.ge.s32 %p1, %r2, %r1;
    @%p1 bra $L__2;
    add.s32 %r3, %r3, %r2;
    add.s32 %r2, %r2, 1;
    bra.uni $L__1;
$L__2:
    @!%p1 add.s32 %r3, %r3, 1000;
    st.global.u32 [%rd4], %r3;
    ret;"""
    np.testing.assert_array_equal(execute(body, np.zeros(6, np.uint32), 6), [100, 100, 101, 103, 106, 110])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("atom.global.add.u32 %r1, [%rd1], 1;", r"unknown instruction: atom.global.add.u32"),
        ("bar.sync 0;", "unknown instruction: bar.sync 0"),
        ("mul.f32 %f1, %f2, %f3;", "unknown instruction: mul.f32"),
        ("fma.rn.ftz.f32 %f1, %f2, %f3, %f4;", "unknown instruction: fma.rn.ftz.f32"),
        ("mad.rn.f32 %f1, %f2, %f3, %f4;", "unknown instruction: mad.rn.f32"),
        ("ld.volatile.global.u32 %r1, [%rd1];", "unknown instruction: ld.volatile.global.u32"),
        ("cvt.rz.f32.s32 %f1, %r1;", "unknown instruction: cvt.rz.f32.s32"),
        ('.pragma "something new";', 'unknown: .pragma "something new"'),
    ],
)
def test_what_it_does_not_know_is_an_error_by_name(body, message):
    with pytest.raises(ptx.PtxError, match=message):
        module(body)


@pytest.mark.parametrize(
    ("access", "message"),
    [
        (
            "ld.global.u32 %r2, [%rd4+16];",
            r"ld.global.u32 %r2, \[%rd4\+16\]: thread .*'%tid.x': 0.* out of bounds: 4 bytes at 0x7f\w+; 4",
        ),
        ("ld.global.u32 %r2, [%rd4+4];", r"'%tid.x': 3, .*out of bounds: 4 bytes at 0x7f\w+; 1 threads"),
        ("ld.global.u32 %r2, [%rd4+-4];", "'%tid.x': 0, .*out of bounds: .*; 1 threads"),
        ("st.global.u32 [%rd4+4], %r1;", "'%tid.x': 3, .*out of bounds"),
        ("ld.global.u16 %rs1, [%rd4+1];", "misaligned: 2 bytes at"),
        ("st.global.u8 [%rd2], %r1;", "two stores to one byte"),
        ("ld.global.nc.u32 %r2, [%rd4];", "a non-coherent load of memory that may be written"),
        ("add.s32 %r2, %r3, 1;", "%r3 is read before it is written"),
        ("cvt.u32.u64 %r2, %r1;", "%r1 is narrower than uint64"),
        ("mov.u64 %r2, %rd1;", "uint64 does not fit into %r2"),
        ("mul.wide.u32 %rd5, %r1, 4; ld.global.u32 %r3, [%rd5];", "out of bounds: 4 bytes at 0x0"),
        ("ld.param.u64 %rd5, [k_param_0+4];", "outside the parameters"),
    ],
)
def test_what_a_card_would_corrupt_or_trap_is_an_error(access, message):
    with pytest.raises(ptx.PtxError, match=message):
        execute(f"{ADDRESS}{access}\n    ret;", np.zeros(4, np.uint32))


def test_a_kernel_that_never_ends_is_an_error(monkeypatch):
    monkeypatch.setattr(ptx, "MOST_BLOCKS", 1000)
    with pytest.raises(ptx.PtxError, match="k: ran 1000 basic blocks and has not ended"):
        execute("$L__1:\n    bra.uni $L__1;", np.zeros(4, np.uint32))


def test_a_store_to_what_may_only_be_read_is_an_error():
    with pytest.raises(ptx.PtxError, match="a store to memory that may only be read"):
        execute(f"{ADDRESS}st.global.u32 [%rd4], %r1;", np.zeros(4, np.uint32), writable=False)


def test_a_fused_sum_rounds_once():
    """Against the C library's fmaf, at magnitudes where two roundings, or float64's own, would show."""
    fmaf = ctypes.CDLL("libm.so.6").fmaf
    fmaf.restype, fmaf.argtypes = ctypes.c_float, [ctypes.c_float] * 3
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 1 << 32, (20_000, 3), dtype=np.uint64).astype(np.uint32)
    # Addends near the product, and near a half of its last place: there rounding twice goes wrong.
    bits[:, 2] = np.where(
        rng.random(20_000) < 0.7, ((bits[:, 0] >> 1) + (bits[:, 1] >> 1)) ^ (bits[:, 2] & 0x80FFFFFF), bits[:, 2]
    )
    a, b, c = (np.ascontiguousarray(column).view(np.float32) for column in bits.T)
    finite = np.isfinite(a) & np.isfinite(b) & np.isfinite(c)
    a, b, c = a[finite], b[finite], c[finite]
    with np.errstate(all="ignore"):
        got = ptx._fma(a, b, c)
    expected = np.array([fmaf(*map(float, row)) for row in zip(a, b, c, strict=True)], np.float32)
    np.testing.assert_array_equal(got.view(np.uint32), expected.view(np.uint32))
    # 1 + 2^-24 + 2^-70: float64 drops the last part, and float32 would then round to even.
    one = np.array([1 + 2**-12, 1.0], np.float32)
    tail = np.array([2**-24 + 0.0, 2**-24], np.float32)
    assert ptx._fma(one, one, tail)[0] == np.float32(fmaf(float(one[0]), float(one[0]), float(tail[0])))


@pytest.mark.parametrize(
    ("instruction", "inputs", "expected"),
    [
        ("shr.s32 %r2, %r1, 40;", -5, -1),
        ("shr.u32 %r2, %r1, 40;", -5, 0),
        ("shl.b32 %r2, %r1, 32;", 7, 0),
        ("cvt.u32.u8 %r2, %r1;", -1, 255),
        ("cvt.s32.s8 %r2, %r1;", 0x1FE, -2),
        ("min.s32 %r2, %r1, -3;", 2, -3),
        ("min.u32 %r2, %r1, -3;", 2, 2),
        ("mad.lo.s32 %r2, %r1, 65536, 9;", 65537, 65545),
        ("cvt.rn.f32.s32 %f1, %r1; cvt.rni.s32.f32 %r2, %f1;", 2**31 - 1, 2**31 - 1),
        ("mov.f32 %f1, 0f40200000; cvt.rni.s32.f32 %r2, %f1;", 0, 2),
        ("mov.f32 %f1, 0f40600000; cvt.rni.s32.f32 %r2, %f1;", 0, 4),
        ("mov.f32 %f1, 0fFFC00000; cvt.rni.s32.f32 %r2, %f1;", 5, 0),
        ("mov.f32 %f1, 0f477FF000; cvt.rn.f16.f32 %rs1, %f1; cvt.u32.u16 %r2, %rs1;", 0, 0x7C00),
        ("mov.f32 %f1, 0f33000001; cvt.rn.f16.f32 %rs1, %f1; cvt.u32.u16 %r2, %rs1;", 0, 1),
    ],
)
def test_instructions_at_their_edges(instruction, inputs, expected):
    body = f"{ADDRESS}ld.global.u32 %r1, [%rd4];\n{instruction}\n    st.global.u32 [%rd4], %r2;\n    ret;"
    np.testing.assert_array_equal(execute(body, np.full(4, inputs, np.int32)), np.full(4, expected, np.int32))
