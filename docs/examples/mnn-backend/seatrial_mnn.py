"""MNN's CPU runtime as a backend of seatrial. An ONNX model is converted when it is opened, in a folder that goes again."""

import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

from seatrial.backends.base import Closing, TensorSpec, check_feeds
from seatrial.errors import ModelError
from seatrial.model.file import inspect_model
from seatrial.runtimes.settings import Setting


class MnnBackend(Closing):
    name = "mnn-cpu"
    settings = (Setting("precision", str, "low lets MNN compute in fp16 or bf16", ("high", "normal", "low")),)

    def __init__(self, model, options, info, module):
        self._model, self._options, self._info, self._module = model, options, info, module

    @classmethod
    def open(cls, model, options):
        # `_tools`, since importing MNN.tools installs packages and reports to its makers.
        import _tools
        import MNN

        info = inspect_model(model)
        threads, precision = options.threads, options.settings.get("precision", "high")
        with tempfile.TemporaryDirectory() as folder:
            file = str(Path(folder, "model.mnn"))
            words = ["mnnconvert", "-f", "ONNX", "--modelFile", str(model), "--MNNModel", file, "--bizCode", "seatrial"]
            if not _tools.mnnconvert(words) or not Path(file).is_file():
                raise ModelError("MNN cannot convert the model", subject=model, refusal=True)
            made = MNN.nn.create_runtime_manager(({"backend": "CPU", "numThread": threads, "precision": precision},))
            names = [i.name for i in info.inputs], [o.name for o in info.outputs]
            return cls(model, options, info, MNN.nn.load_module_from_file(file, *names, runtime_manager=made))

    def inputs(self):
        return [TensorSpec(i.name, self._options.input_shapes.get(i.name, ()), i.dtype) for i in self._info.inputs]

    def outputs(self):
        return [TensorSpec(o.name, (), o.dtype) for o in self._info.outputs]

    def run(self, feeds):
        from MNN import expr

        check_feeds(self._model, [i.name for i in self._info.inputs], feeds)
        values = [expr.const(feeds[i.name], feeds[i.name].shape, expr.NCHW) for i in self._info.inputs]
        return [np.array(expr.convert(y, expr.NCHW).read()) for y in self._module.forward(values)]

    def another(self):
        return self.open(self._model, self._options)

    def details(self):
        precision = self._options.settings.get("precision", "high")
        return {"runtime": f"MNN {version('MNN')}", "threads": f"{self._options.threads}", "precision": precision}

    def io_policy(self):
        return "inputs copied in each run, outputs copied back, shapes fixed in the first run"

    def close(self):
        self._module = None
