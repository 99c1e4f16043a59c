"""Standard operators whose work is by convention no part of a model's FLOPs: they move, compare, or touch each value a few
times.

For: cost.py, which lists whatever is neither here nor has a formula: an operator that a later ONNX brings is told, not lost.
"""

from __future__ import annotations

from typing import Any

_BY_VALUE = """
Abs Acos Acosh Add And Asin Asinh Atan Atanh Bernoulli BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike
Ceil Celu Clip Cos Cosh DequantizeLinear Div Dropout DynamicQuantizeLinear Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual
HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow
QuantizeLinear Reciprocal Relu RotaryEmbedding Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum SwiGLU
Swish Tan Tanh ThresholdedRelu Where Xor
"""
_MADE = """
BlackmanWindow Constant ConstantOfShape EyeLike HammingWindow HannWindow MelWeightMatrix Multinomial RandomNormal
RandomNormalLike RandomUniform RandomUniformLike Range Shape Size
"""
_MOVED = """
CenterCropPad Col2Im Compress Concat DepthToSpace Expand Flatten Gather GatherElements GatherND OneHot Pad Reshape
ReverseSequence Scatter ScatterElements ScatterND Slice SpaceToDepth Split Squeeze TensorScatter Tile Transpose Trilu Unsqueeze
"""
_RESAMPLED = "GridSample Resize RoiAlign Upsample"
_POOLED = "AveragePool GlobalAveragePool GlobalLpPool GlobalMaxPool LpPool MaxPool MaxRoiPool MaxUnpool"
_NORMALISED = """
BatchNormalization GroupNormalization Hardmax InstanceNormalization LRN LayerNormalization LogSoftmax LpNormalization
MeanVarianceNormalization NegativeLogLikelihoodLoss RMSNormalization Softmax SoftmaxCrossEntropyLoss
"""
_REDUCED = """
ArgMax ArgMin CumProd CumSum NonMaxSuppression NonZero ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean
ReduceMin ReduceProd ReduceSum ReduceSumSquare TopK Unique
"""
_NO_TENSORS = """
ConcatFromSequence Optional OptionalGetElement OptionalHasElement SequenceAt SequenceConstruct SequenceEmpty SequenceErase
SequenceInsert SequenceLength SplitToSequence
"""
_TEXT = "RegexFullMatch StringConcat StringNormalizer StringSplit TfIdfVectorizer"
_OF_ML = """
ArrayFeatureExtractor Binarizer CastMap CategoryMapper DictVectorizer FeatureVectorizer Imputer LabelEncoder Normalizer
OneHotEncoder Scaler ZipMap
"""
_STANDARD = frozenset(
    " ".join((_BY_VALUE, _MADE, _MOVED, _RESAMPLED, _POOLED, _NORMALISED, _REDUCED, _NO_TENSORS, _TEXT)).split()
)
CHEAP = {"": _STANDARD, "ai.onnx": _STANDARD, "ai.onnx.ml": frozenset(_OF_ML.split())}


def is_cheap(node: Any) -> bool:
    return node.op_type in CHEAP.get(node.domain, ())
