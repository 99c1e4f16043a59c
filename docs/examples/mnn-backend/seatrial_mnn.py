"""MNN's CPU runtime as a backend of seatrial; what it takes to call MNN is in seatrial_mnn_model.py."""

import seatrial_mnn_model as mnn

from seatrial.backends.base import Closing, TensorSpec
from seatrial.runtimes.settings import Setting


class MnnBackend(Closing):
    name = "mnn-cpu"
    settings = (Setting("precision", str, "low: fp16 or bf16", ("high", "normal", "low"), default="high"),)
    in_place = False  # MNN copies what it is given, and what it answers.

    @classmethod
    def open(cls, model, options):
        self = cls()
        self._model, self._options = model, options
        self._info, self._module = mnn.load(model, options)
        return self

    def inputs(self):
        return [TensorSpec(i.name, self._options.input_shapes.get(i.name, ()), i.dtype) for i in self._info.inputs]

    def outputs(self):
        return [TensorSpec(o.name, (), o.dtype) for o in self._info.outputs]

    def run(self, feeds):
        return mnn.answers(self._module, [feeds[i.name] for i in self._info.inputs])

    def another(self):
        return self.open(self._model, self._options)

    def details(self):
        return mnn.details(self._options)

    def close(self):
        self._module = None
