"""What stands around a build: options, profiles, the log, layers of both schemas, the driver's answers, the library's traps."""

import ctypes
import json
import signal
from types import SimpleNamespace

import onnx
import pytest
from float_graphs import model_of
from onnx import helper
from simulated_tensorrt import VERSIONS

from seatrial.backends import availability
from seatrial.backends.tensorrt import driver, library
from seatrial.backends.tensorrt.building import build
from seatrial.backends.tensorrt.driver import Device, NoDevice, find_device
from seatrial.backends.tensorrt.layers import Layer, computed_in, of_inspector
from seatrial.backends.tensorrt.library import import_library
from seatrial.backends.tensorrt.log import Log, plain
from seatrial.backends.tensorrt.options import EngineOptions, RunOptions, options_of
from seatrial.backends.tensorrt.profiles import Profile, check_profiles, give_sizes
from seatrial.errors import BackendUnavailableError, ModelError, PlanError
from seatrial.model.file import inspect_model


def test_settings_are_told_apart_and_held_against_their_kinds():
    engine, run = options_of({"tf32": True, "builder_level": 3, "kernel_strategy": "lazy", "cuda_graph": False})
    assert engine == EngineOptions(tf32=True, builder_level=3)
    assert run == RunOptions(kernel_strategy="lazy", cuda_graph=False)
    assert engine.given == ("builder_level", "tf32")
    assert options_of({}) == (EngineOptions(), RunOptions())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"build_level": 3},
            "options.build_level: TensorRT has no option 'build_level' (did you mean 'builder_level'?)",
        ),
        ({"capabilities": "sm89"}, "options.capabilities: TensorRT has no option 'capabilities'"),
        ({"fp16": True}, "options.fp16: TensorRT has no option 'fp16'"),
        ({"builder_level": 6}, "options.builder_level: expected a whole number from 0 to 5, got 6"),
        ({"builder_level": True}, "expected a whole number from 0 to 5, got true"),
        ({"workspace_mib": 0.5}, "expected a whole number from 1 to 1048576, got 0.5"),
        ({"tf32": 1}, "options.tf32: expected true or false, got 1"),
        ({"kernel_strategy": "later"}, "expected one of eager, lazy, none, got 'later'"),
        ({"hardware_compatibility": "all"}, "expected one of none, ampere_plus, same_capability, got 'all'"),
        ({"engine": 3}, "options.engine: expected a file, got 3"),
    ],
)
def test_a_setting_that_is_none_is_told(settings, said):
    with pytest.raises(PlanError) as caught:
        options_of(settings)
    assert said in str(caught.value)


def open_model(tmp_path, names=("?", 3, "?", "?")):
    path = tmp_path / "m.onnx"
    proto = model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": list(names)}, {"y": None})
    onnx.save(proto, path)
    return path, proto


def sizes(proto):
    return [d.dim_param or d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]


@pytest.mark.parametrize(
    ("names", "least", "greatest", "given"),
    [
        (("?", 3, "?", "?"), (1, 3, 8, 9), (1, 3, 8, 9), [1, 3, 8, 9]),
        (("?", 3, "?", "?"), (1, 3, 8, 9), (4, 3, 8, 9), ["x_0", 3, 8, 9]),
        (("?", 3, "?", "?"), (1, 3, 8, 9), (4, 3, 16, 18), ["x_0", 3, "x_2", "x_3"]),
        (("n", 3, "h", "w"), (1, 3, 8, 9), (4, 3, 8, 9), ["n", 3, 8, 9]),
        (("n", 3, None, None), (1, 3, 8, 9), (4, 3, 16, 9), ["n", 3, "x_2", 9]),
    ],
)
def test_sizes_are_fixed_where_profiles_agree_and_told_apart_where_they_do_not(tmp_path, names, least, greatest, given):
    """An exporter's '?' for height and width says to TensorRT that they are equal."""
    _, proto = open_model(tmp_path, names)
    give_sizes(proto, [Profile({"x": least}, {"x": greatest}, {"x": greatest})])
    assert sizes(proto) == given


@pytest.mark.parametrize(
    ("least", "greatest", "said"),
    [
        ((1, 4, 8, 8), (1, 4, 8, 8), "cannot take 1x4x8x8, which the engine is to be built for"),
        ((1, 3, 8), (1, 3, 8), "cannot take 1x3x8"),
        ((0, 3, 8, 8), (0, 3, 8, 8), "as 0x3x8x8 holds no value"),
        ((4, 3, 8, 8), (1, 3, 8, 8), "expected least ≤ usual ≤ greatest, got x 4x3x8x8 to 1x3x8x8"),
    ],
)
def test_shapes_that_do_not_fit_are_told_before_the_library_sees_them(tmp_path, least, greatest, said):
    path, _ = open_model(tmp_path)
    with pytest.raises(ModelError) as caught:
        check_profiles(inspect_model(path), [Profile({"x": least}, {"x": greatest}, {"x": greatest})])
    assert said in str(caught.value)


def test_an_engine_for_no_shapes_is_told(tmp_path):
    path, _ = open_model(tmp_path)
    with pytest.raises(ModelError, match="the shapes of at least one optimisation profile"):
        check_profiles(inspect_model(path), [])


def test_an_input_without_a_shape_is_told(tmp_path):
    path, _ = open_model(tmp_path)
    with pytest.raises(ModelError, match="has no shape to build an engine for"):
        check_profiles(inspect_model(path), [Profile.exactly({})])


def test_a_profile_in_words_and_back():
    profile = Profile({"x": (1, 3)}, {"x": (4, 3)}, {"x": (8, 3)})
    assert str(profile) == "x 1x3 to 8x3"
    assert Profile.of_json(profile.as_json()) == profile
    assert profile.holds({"x": (2, 3)})
    assert not profile.holds({"x": (9, 3)})
    assert not profile.holds({"y": (2, 3)})
    assert str(Profile.exactly({"s": ()})) == "s scalar"


DRIVER = "[checkMacros.cpp::catchCudaError::250] Error Code 1: Cuda Runtime (In catchCudaError at /_src/common/dispatch/checkMacros.cpp:250 (cudaError 35: CUDA driver version is insufficient for CUDA runtime version))"


@pytest.mark.parametrize(
    ("lines", "first"),
    [
        ([("WARNING", "w"), ("ERROR", "a"), ("ERROR", "b")], "a"),
        ([("ERROR", DRIVER), ("ERROR", "the reason")], "the reason"),
        ([("ERROR", "the reason"), ("INTERNAL_ERROR", DRIVER)], "the reason"),
        ([("ERROR", DRIVER)], DRIVER),
        ([("ERROR", "ModelImporter.cpp:140: While parsing node number 0 [Det -> \"y\"]:"), ("ERROR", "ModelImporter.cpp:142: --- Begin node ---"), ("ERROR", "why")], "why"),
        ([("INFO", "i"), ("VERBOSE", "v")], ""),
    ],
)  # fmt: skip
def test_the_first_error_counts_and_the_missing_drivers_only_where_it_is_alone(lines, first):
    log = Log()
    for line in lines:
        log.hear(*line)
    assert log.first_error() == first


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("IBuilder::buildSerializedNetwork: Error Code 4: API Usage Error (Dimension mismatch for tensor x and profile 0. In validate at /_src/optimizer/api/network.cpp:4054)", "Dimension mismatch for tensor x and profile 0"),
        ("[tacticSupply.cpp::getSupportedFormats::48] Error Code 2: Internal Error (Assertion !layerImpls.empty() failed. nms1_0 has no runners that implement it In getSupportedFormats at /_src/optimizer/builder/tacticSupply.cpp:48)", "nms1_0 has no runners that implement it"),
        ("Assertion failed: (x->getType() == DataType::kFLOAT || x->getType() == DataType::kHALF): Only FLOAT or HALF. The current type = BF16.", "Only FLOAT or HALF. The current type = BF16"),
        ("Assertion failed: shiftIsAllZeros(zeroPoint): Non-zero zero point is not supported. Please set kENABLE_UINT8_AND_ASYMMETRIC_QUANTIZATION_DLA to", "Non-zero zero point is not supported"),
        ("a reason of its own", "a reason of its own"),
    ],
)  # fmt: skip
def test_a_message_without_the_librarys_own_places(said, told):
    assert plain(said) == told


def test_warnings_that_change_numbers_are_kept():
    log = Log()
    for text in ("Make sure input x has Int64 binding.", "weights outside the range of FP16 were clamped", "weights outside the range of FP16 were clamped"):  # fmt: skip
        log.hear("WARNING", text)
    assert log.telling_warnings() == ("weights outside the range of FP16 were clamped",)


CONV = {"Name": "conv1 + relu1", "LayerType": "CaskConvolution", "ParameterType": "Convolution", "TacticName": "sm80_xmma_fprop",
        "Metadata": "[ONNX Layer: conv1]\x1e[ONNX Layer: relu1]"}  # fmt: skip
INT8 = "Thirty-two wide channel vectorized row major Int8 format."


@pytest.mark.parametrize(
    ("tensors", "ports"),
    [
        ([{"Name": "x", "Format/Datatype": INT8}], {"Bindings": ["x", "y"]}),
        (
            [{"Name": "x", "Format": "LINEAR", "Datatype": "INT8"}],
            {"I/O Tensors": [{"Name": "x", "DataType": "FLOAT"}]},
        ),
        ([{"Name": "x", "Format": "LINEAR", "DataType": "Int8"}], {"I/O Tensors": [], "Engine Metadata": {}}),
    ],
)
def test_both_schemas_of_the_inspector_say_the_same(tensors, ports):
    copy = {"Name": "Reformatting CopyNode", "LayerType": "Reformat", "Metadata": "[ONNX Layer: conv1]", "Inputs": [{"Datatype": "Float", "Format/Datatype": "Row major linear FP32"}], "Outputs": tensors}  # fmt: skip
    layers = of_inspector(json.dumps({"Layers": [{**CONV, "Inputs": tensors, "Outputs": tensors}, copy], **ports}))
    assert layers[0] == Layer("conv1 + relu1", "Convolution", ("conv1", "relu1"), "int8", "int8", "sm80_xmma_fprop")
    assert computed_in(layers, ["conv1", "conv2"]) == {"int8": 1, "unknown": 1}


@pytest.mark.parametrize(
    ("nodes", "casts", "found"),
    [
        (
            ["conv1", "cast1", "conv2", "cast2"],
            ["cast1", "cast2"],
            {"unknown (fused: fp16 goes in, fp32 comes out)": 2},
        ),
        (["conv1", "relu1", "conv2"], [], {"unknown (fused: fp16 goes in, fp32 comes out)": 2}),
        (["conv1", "cast1"], ["cast1"], {"unknown (fused: fp16 goes in, fp32 comes out)": 1, "unknown": 1}),
        (["conv1", "relu1"], ["cast1"], {"fp16": 1, "unknown": 1}),
    ],
)
def test_what_computes_within_a_fusion_is_not_guessed_by_its_ports(nodes, casts, found):
    """A product that was kept in fp32 between two casts is fused with its neighbours, whose types are all that is told."""
    layer = {"Name": "{ForeignNode[conv1...]}", "LayerType": "Myelin", "TacticName": "__myl_conv",
             "Metadata": "".join(f"[ONNX Layer: {n}]" for n in nodes),
             "Inputs": [{"Name": "x", "Datatype": "Half"}], "Outputs": [{"Name": "y", "Datatype": "Float"}]}  # fmt: skip
    layers = of_inspector(json.dumps({"Layers": [layer], "I/O Tensors": []}))
    assert computed_in(layers, ["conv1", "conv2"], casts) == found


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Row major linear FP32", "fp32"), ("Float", "fp32"), ("Half", "fp16"), ("FP16", "fp16"), ("BFloat16", "bf16"), ("BF16", "bf16"),
        ("FP8", "fp8"), ("Channel major FP16 format where channel % 4 == 0", "fp16"), ("Int32", "int32"), ("UInt8", "int8"),
        ("Hexadecimal", "hexadecimal"),
    ],
)  # fmt: skip
def test_names_of_types_in_either_generation(said, name):
    layer = {"Name": "a", "Inputs": [{"Format/Datatype": said}], "Outputs": []}
    assert of_inspector(json.dumps({"Layers": [layer], "Bindings": []}))[0].takes == name


def test_an_engine_with_names_alone_says_that_it_does_not_know():
    layers = of_inspector(json.dumps({"Layers": ["conv1 + relu1"], "Bindings": []}))
    assert computed_in(layers, ["conv1"]) == {"unknown": 1}


@pytest.mark.parametrize("text", ['{"Layers": []}', '{"Bindings": []}', "[]", '{"Layers": {}, "Bindings": []}'])
def test_another_schema_is_an_error_and_no_empty_answer(text):
    with pytest.raises(ValueError, match="expected an inspector's"):
        of_inspector(text)


class FakeDriver:
    def __init__(self, init=0, count=1):
        self.init, self.count = init, count

    def cuInit(self, _flags):
        return self.init

    def __getattr__(self, name):
        def fill(*arguments):
            target = arguments[0]._obj if hasattr(arguments[0], "_obj") else arguments[0]
            if name == "cuDeviceGetName":
                target.value = b"NVIDIA L4"
            elif name == "cuDeviceGetAttribute":
                target.value = {75: 8, 76: 9}[arguments[1]]
            else:
                target.value = {"cuDeviceGetCount": self.count, "cuDriverGetVersion": 13010, "cuDeviceTotalMem_v2": 24 << 30}.get(name, 0)  # fmt: skip
            return 0

        return fill


def test_the_drivers_device_is_described(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: FakeDriver())
    assert find_device() == Device("NVIDIA L4", "sm89", 24 << 30, (13, 1))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (100, "the CUDA driver sees no device"),
        (803, "different versions"),
        (34, "is the stub"),
        (321, "cuInit fails with error 321"),
    ],
)
def test_the_drivers_own_answers(monkeypatch, code, said):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: FakeDriver(code))
    found = find_device()
    assert isinstance(found, NoDevice)
    assert said in found.reason
    assert found.cure


def test_a_machine_without_a_driver(monkeypatch):
    monkeypatch.setattr(driver, "DRIVER_LIBRARY", "libnone.so.1")
    assert "there is no CUDA driver (libnone.so.1: cannot open" in find_device().reason


@pytest.mark.parametrize(
    ("name", "trt", "said"),
    [
        ("tensorrt", None, "the package tensorrt is not installed; python -m pip install tensorrt --extra-index-url https://pypi.nvidia.com (PyPI alone"),
        ("tensorrt-rtx", None, "the package tensorrt_rtx is not installed; python -m pip install 'seatrial[tensorrt-rtx]'"),
        ("tensorrt", ImportError("libnvonnxparser.so.11: cannot open shared object file"), "does not import: libnvonnxparser.so.11: cannot open shared object file; python -m pip install tensorrt --extra-index-url"),
        ("tensorrt", SimpleNamespace(__version__="8.6.1", Builder=1, OnnxParser=1, Runtime=1), "expected TensorRT 10 or 11, got 8.6.1"),
        ("tensorrt", SimpleNamespace(__version__="11.4.0", Runtime=1), "has no Builder, OnnxParser: a lean or a dispatch runtime alone builds nothing"),
    ],
)  # fmt: skip
def test_a_package_that_is_none_is_told_with_its_cure(monkeypatch, name, trt, said):
    def load(package):
        if isinstance(trt, ImportError):
            raise trt
        return trt

    monkeypatch.setattr(library, "find_spec", lambda package: trt)
    monkeypatch.setattr(library, "import_module", load)
    with pytest.raises(BackendUnavailableError) as caught:
        import_library(name)
    assert said in str(caught.value)
    found = availability(name)
    assert (found.ok, "pip install" in found.cure, bool(found.reason)) == (False, True, True)


@pytest.mark.parametrize(
    ("label", "capabilities", "said"),
    [
        (VERSIONS[2], (), "expected the compute capabilities to build for, such as sm89; it knows sm"),
        (VERSIONS[2], ("sm90",), "knows no sm90: onnxruntime-tensorrt or tensorrt runs on that card; it builds for"),
        (VERSIONS[2], ("sm98",), "knows no sm98 (did you mean 'sm89'?)"),
        (VERSIONS[2], ("current",), "knows no current"),
        (VERSIONS[0], ("sm89",), "TensorRT 10.13.3.9 builds for the device at hand alone, got sm89: build there, or with tensorrt-rtx"),
    ],
)  # fmt: skip
def test_capabilities_that_a_library_does_not_know(bench, label, capabilities, said):
    bench.install(label)
    with pytest.raises(BackendUnavailableError) as caught:
        import_library(bench.name).builds_for(capabilities)
    assert said in str(caught.value)


def test_what_would_be_read_otherwise_than_the_file_says_is_refused(bench, tmp_path):
    """TensorRT takes each of these without a word: uint8 as int8, float64 and its buffers as float32."""
    import numpy as np

    bench.install(VERSIONS[2])

    def said(name, proto):
        onnx.save(proto, tmp_path / name)
        model = inspect_model(tmp_path / name)
        with pytest.raises(ModelError) as caught:
            build(import_library("tensorrt-rtx"), model, [Profile.exactly({"x": (2,)})], EngineOptions(("sm89",)))
        return str(caught.value)

    for zero, what in (
        (np.uint8(0), "uint8, which TensorRT reads as int8"),
        (np.uint16(0), "uint16, which TensorRT does not"),
    ):
        nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], "q1"), helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"])]  # fmt: skip
        proto = model_of(nodes, {"x": [2]}, {"y": [2]}, {"s": np.float32(0.1), "z": zero}, opset=21)
        assert f"QuantizeLinear q1 quantises to {what}" in said("q.onnx", proto)
    silent = model_of([helper.make_node("QuantizeLinear", ["x", "s"], ["q"], "q1"), helper.make_node("DequantizeLinear", ["q", "s"], ["y"])], {"x": [2]}, {"y": [2]}, {"s": np.float32(0.1)}, opset=19)  # fmt: skip
    assert "QuantizeLinear q1 quantises to uint8" in said("s.onnx", silent)
    double = model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": [2]}, {"y": [2]})
    for port in (*double.graph.input, *double.graph.output):
        port.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    assert "x float64[2] is float64, which TensorRT takes for float32, its buffer too" in said("d.onnx", double)


def test_float64_inside_is_built_and_noted(bench, tmp_path):
    bench.install(VERSIONS[2])
    nodes = [
        helper.make_node("Cast", ["x"], ["d"], to=onnx.TensorProto.DOUBLE),
        helper.make_node("Cast", ["d"], ["y"], to=1),
    ]
    onnx.save(model_of(nodes, {"x": [2]}, {"y": [2]}), tmp_path / "d.onnx")
    model = inspect_model(tmp_path / "d.onnx")
    made = build(import_library("tensorrt-rtx"), model, [Profile.exactly({"x": (2,)})], EngineOptions(("sm89",)))
    assert made.notes == ("the file computes in float64 in places, which TensorRT computes in float32",)


def test_weights_beside_the_file_are_read_in_its_folder_alone(bench, tmp_path):
    """inspect_model refuses a path that leaves the folder before any parser sees the file."""
    import numpy as np

    proto = model_of(
        [helper.make_node("Add", ["x", "w"], ["y"])], {"x": [2]}, {"y": [2]}, {"w": np.zeros(2, np.float32)}
    )
    (tmp_path / "in").mkdir()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret.bin")
    (tmp_path / "secret.bin").write_bytes(bytes(8))
    (tmp_path / "in" / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match="outside the model's folder"):
        inspect_model(tmp_path / "in" / "m.onnx")


def test_ctrl_c_ends_a_build_between_two_steps(bench, cnn):
    bench.install(VERSIONS[2])
    told = []

    def tell(step, share):
        told.append((step, share))
        if share > 0.3:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        shapes = {"x": (2, 3, 6, 6), "scale": (1,)}
        with pytest.raises(KeyboardInterrupt):
            build(
                import_library("tensorrt-rtx"),
                inspect_model(cnn),
                [Profile.exactly(shapes)],
                EngineOptions(("sm89",)),
                tell,
            )
    finally:
        signal.signal(signal.SIGINT, before)
    assert told[-1] == ("building the engine", pytest.approx(1 / 3)), "no step after the one in which it came"
