"""A runtime's own errors in one line: the reason, without colours, places in C++, and what else stands around it."""

import pytest

from seatrial.backends.reasons import first_line, last_line

ORT = (
    "[ONNXRuntimeError] : 1 : FAIL : \x1b[1;31mNon-zero status code\x1b[m returned while running Conv node. "
    "/onnxruntime_src/onnxruntime/core/framework/execution_frame.cc:173 onnxruntime::common::Status "
    "onnxruntime::IExecutionFrame::GetOrCreate(int, const OrtValue*&) const [with T = float] Shape mismatch\nStacktrace: x"
)

# As onnxruntime-gpu 1.31.1 says it without a device.
CUDA = (
    "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:154 std::conditional_t<THRW, void, Status> "
    "onnxruntime::CudaCall(ERRTYPE, const char*, int) [with ERRTYPE = cudaError; bool THRW = true; Status = void] "
    "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:146 std::conditional_t<THRW, void, Status> "
    "onnxruntime::CudaCall(ERRTYPE, const char*, int) [with ERRTYPE = cudaError; bool THRW = true; Status = void] CUDA failure "
    "35: CUDA driver version is insufficient for CUDA runtime version ; GPU=-1 ; hostname=vm ; file=/onnxruntime_src/"
    "onnxruntime/core/providers/cuda/cuda_execution_provider.cc ; line=355 ; expr=cudaSetDevice(info_.device_id); \n\n"
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CUDA, "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version"),
        ("CUDA failure 2: out of memory", "CUDA failure 2: out of memory"),
        (
            "CUDNN failure 4000: CUDNN_STATUS_INTERNAL_ERROR ; GPU=0 ; x",
            "CUDNN failure 4000: CUDNN_STATUS_INTERNAL_ERROR",
        ),
        ("it broke", "it broke"),
        ("  it broke \n\n", "it broke"),
        ("first\nsecond", "first"),
        (ORT, "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Conv node. Shape mismatch"),
        ("no place /models/a.onnx is one", "no place /models/a.onnx is one"),
        ("ä ✓", "ä ✓"),
        ("x" * 1000, "x" * 400),
        ("", "RuntimeError"),
        (" \n ", "RuntimeError"),
        ("\x1b[31m\x1b[0m", "RuntimeError"),
    ],
)
def test_onnx_runtimes_reason_stands_first(text, said):
    assert first_line(RuntimeError(text)) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("it broke", "it broke"),
        ("Exception from src/inference/src/cpp/core.cpp:133:\nException from src/a.cpp:1:\nCannot read the model\n\n", "Cannot read the model"),
        ("reason\nsrc/plugins/x.cpp:7", "reason"),
        ("src/plugins/x.cpp:7", "ValueError"),
        ("one\r\ntwo\r\n", "two"),
        ("x" * 1000, "x" * 300),
        ("", "ValueError"),
    ],
)  # fmt: skip
def test_openvinos_stands_last(text, said):
    assert last_line(ValueError(text)) == said
