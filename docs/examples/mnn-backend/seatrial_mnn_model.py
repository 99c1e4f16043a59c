"""An ONNX model in MNN: converted when it is loaded, in a folder that goes again. For: the backend beside it."""

import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

from seatrial.errors import ModelError
from seatrial.model.file import inspect_model


def load(model, options):
    """What seatrial knows of the file, whose names MNN keeps, and MNN's module."""
    # `_tools`, since importing MNN.tools installs packages and reports to its makers.
    import _tools
    import MNN

    info = inspect_model(model)
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "model.mnn"))
        words = ["mnnconvert", "-f", "ONNX", "--modelFile", str(model), "--MNNModel", file, "--bizCode", "seatrial"]
        if not _tools.mnnconvert(words) or not Path(file).is_file():
            raise ModelError("MNN cannot convert the model", subject=model, refusal=True)
        config = {"backend": "CPU", "numThread": options.threads, "precision": precision(options)}
        made = MNN.nn.create_runtime_manager((config,))
        names = [i.name for i in info.inputs], [o.name for o in info.outputs]
        return info, MNN.nn.load_module_from_file(file, *names, runtime_manager=made)


def answers(module, arrays):
    """Copies in and out: MNN has a layout of its own."""
    from MNN import expr

    values = [expr.const(array, array.shape, expr.NCHW) for array in arrays]
    return [np.array(expr.convert(y, expr.NCHW).read()) for y in module.forward(values)]


def details(options):
    """What runs: MNN's version, and what it was given."""
    return {"runtime": f"MNN {version('MNN')}", "threads": str(options.threads), "precision": precision(options)}


def precision(options):
    return options.settings.get("precision", "high")
