"""The mistakes within the model's runtime, and behind the model. Pure data."""

from __future__ import annotations

from seatrial.faults.fault import Fault

RUNTIME = (
    Fault(
        "fp16-overflow",
        "float16 overflows",
        "outputs",
        "A value within the model exceeds 65504, float16's largest: it becomes infinite, and NaN in the next "
        "normalisation.",
        "NaN, or no detection at all, in some pictures only; the float32 model is right.",
        "Keep the nodes that overflow in float32 (often LayerNorm, Softmax, large MatMul), or take bfloat16; seatrial"
        " parity of both models names them.",
        "NaN",
        "strong contrast, that drives activations up",
    ),
    Fault(
        "precision-not-applied",
        "the model runs in another precision than asked for",
        "outputs",
        "An engine that is called fp16 or int8 computes in float32, since its builder or runtime fell back silently.",
        "Results equal float32's to the last digits, and latency too: the speed that was paid for is missing.",
        "Take a backend that has kernels for it, or a precision that this one has: int8-u8 on ONNX Runtime's CPU, where "
        "float16 is float32; in TensorRT BuilderFlag.FP16, or a float16 model where types are strong; in OpenVINO "
        "INFERENCE_PRECISION_HINT. Inspect which types the layers compute in.",
        "7.4 against 2.3 ms",
        "no picture shows it: times and the layers' types do",
    ),
    Fault(
        "backend-wrong",
        "a backend computes wrong in float32",
        "outputs",
        "A runtime's kernel or graph optimisation gives other numbers than the model's file says, beyond rounding.",
        "The same model loses recall on one backend alone; the others agree with each other.",
        "Turn its optimisations down (graph_optimization_level, fused attention off) until it agrees, or take another"
        " version; a third backend tells which of two is wrong.",
        "recall .49 against .34 (DETR heads)",
        "any picture with objects",
    ),
    Fault(
        "batch-dependent",
        "an image's answer depends on its batch",
        "outputs",
        "Rows of a batch influence each other, or rows behind the first are wrong: a fixed-size buffer, a squeeze, a "
        "constant folded for batch 1.",
        "Accuracy drops when requests are batched; the same image gives other results beside other images.",
        "Export with a dynamic batch axis, index rows and never squeeze(), and size buffers by the batch; compare "
        "each row with the image alone.",
        "",
        "several images that differ",
    ),
    Fault(
        "calibration",
        "int8 calibrated with other preprocessing",
        "outputs",
        "The ranges of a quantised model were taken from images prepared otherwise than in production: BGR, 0 to 255,"
        " or noise.",
        "Float32 is right and int8 far off, in most pictures: values are cut off at ranges that do not fit.",
        "Calibrate again through the same preprocessing function that serves; in a plan, the pipeline that is "
        "converted does so.",
        "70 against 35 %",
        "any picture",
    ),
    Fault(
        "stale-output",
        "the previous image's answer",
        "outputs",
        "Results are read before the device has written them: a stream is not synchronised, or a buffer is used again"
        " too early.",
        "Boxes are right, but of the image before; in a still scene nobody notices.",
        "stream.synchronize() (cudaStreamSynchronize, CUDA events) between the inference and the read; a buffer each "
        "for requests in flight.",
        "",
        "a picture that differs from the one before it",
    ),
    Fault(
        "pooling-mode",
        "pooling in another mode",
        "outputs",
        "ceil_mode or count_include_pad of a pooling layer was lost or gained in the conversion, or the mean stands for the "
        "greatest: the last row and column, or all, are pooled otherwise.",
        "Features shift by up to a cell towards one border; accuracy drops by about a point.",
        "Keep ceil_mode in the export (MaxPool's and AveragePool's attribute in ONNX); odd sizes show it, even ones "
        "do not.",
        "1.2 points of top-1 (ResNet-50)",
        "a model with odd sizes before a pooling layer",
    ),
    Fault(
        "graph-attribute",
        "a node of the model has another attribute",
        "outputs",
        "The candidate's file computes as the reference's does with another attribute of its nodes: an epsilon, a slope, a "
        "GELU's form, where a strided node pads, how a Resize interpolates.",
        "Outputs are off a little in every picture, by another exporter or another version of one; nothing looks wrong.",
        "Hold the attributes of both files against each other (seatrial parity of both models names the node), and export "
        "anew with the training's: LayerNorm's eps, GELU's approximate, TensorFlow's SAME as explicit padding.",
        "",
        "any picture",
    ),
)

RESULTS = (
    Fault(
        "activation",
        "softmax or sigmoid twice, or not at all",
        "results",
        "The model's file ends in the activation already and the code applies it again, or neither does; or it works along "
        "another axis than that of classes, or scores are logged in percent or as what goes into the activation.",
        "The order of classes stays, but scores are all near 0.5 (twice) or beyond 1 and below 0 (never): thresholds "
        "keep all, or nothing.",
        "Look at the last node of the file (Softmax, Sigmoid), and apply torch.softmax or torch.sigmoid only where "
        "there is none; in a plan, postprocess.activation or postprocess.format.",
        "",
        "objects with scores around the threshold",
    ),
    Fault(
        "label-offset",
        "class numbers off by one",
        "results",
        "One side counts a background class, the other does not: each number is one (or two) too high or too low, or a class "
        "that is none is dropped as the background.",
        "Boxes are right and each name is its neighbour's in the list; accuracy is near 0.",
        "Drop or add the background: labels[class_id - 1], or the file of labels without its first line; in a plan, "
        "postprocess.labels, postprocess.background.",
        "",
        "objects, whatever they are",
    ),
    Fault(
        "label-map",
        "class numbers of another list",
        "results",
        "Numbers are looked up in another list of labels: COCO's 91 ids for its 80 classes, or a list in another "
        "order.",
        "The first classes are right and later ones wrong, or each is consistently another; boxes are right.",
        "Ship the labels with the model (ONNX metadata 'names'), and map COCO's 91 ids to 80 where a file needs it; "
        "in a plan, postprocess.labels, postprocess.class_ids.",
        "",
        "objects of several classes",
    ),
    Fault(
        "unletterbox",
        "the way back from the letterbox is wrong or missing",
        "results",
        "Boxes stay in pixels of the padded input, padding and scale are undone with other rounding than they were made, or "
        "by those of another image of the batch; or boxes are clipped or dropped at another edge than the picture's.",
        "Boxes are shifted towards one side or scaled, by the same in each picture of a size; rounding alone costs "
        "some pixels.",
        "Subtract the padding that was added, then divide by the same scale, and clip; keep both from the "
        "preprocessing instead of computing them again (int(), round() and // differ).",
        "boxes up to 3.3 px off",
        "another aspect than the input's",
    ),
    Fault(
        "box-format",
        "corners taken for centre and size, or the reverse",
        "results",
        "Four numbers are read as x1, y1, x2, y2 where they are x, y, width, height, the centre's, or y before x; or a box "
        "ends in its last pixel on one side (w = x2 - x1 + 1) and behind it on the other.",
        "Boxes are too large and too far to the right and below (or mirrored at the diagonal), and mAP is near 0.",
        "Convert once (torchvision.ops.box_convert(boxes, 'cxcywh', 'xyxy')), where boxes leave the model; in a plan,"
        " postprocess.format.",
        "",
        "an object that is not square, away from the diagonal",
    ),
    Fault(
        "box-normalised",
        "fractions taken for pixels, or the reverse",
        "results",
        "Boxes of 0 to 1 are used as pixels, or pixels are multiplied by the picture's size once more.",
        "All boxes lie in the upper left corner, smaller than a pixel; or far outside of the picture.",
        "boxes * [w, h, w, h] exactly once; in a plan, postprocess.boxes: fractions or pixels.",
        "",
        "any object",
    ),
    Fault(
        "nms-settings",
        "another threshold, or another NMS",
        "results",
        "The least score, the IoU of NMS, NMS across classes, or the most detections is another than in the evaluation; or NMS "
        "is handed boxes in another form than it takes (cv2.dnn.NMSBoxes takes x, y, width, height), cut to whole pixels, or "
        "the best few alone.",
        "Objects are boxed twice, neighbours vanish, or unsure ones are missing; those that both give are equal.",
        "Pass the numbers on purpose: conf, iou, agnostic_nms, max_det; in a plan, postprocess.confidence, "
        "postprocess.iou, postprocess.class_agnostic, postprocess.max_detections.",
        ".401 against .328 mAP",
        "overlapping objects, of one class and of two, and scores around the threshold",
    ),
    Fault(
        "decode-mode",
        "the head is decoded by another format's rule",
        "results",
        "Raw outputs are read as another family's: with or without an objectness, other strides or anchors, rows for "
        "columns.",
        "Boxes and classes are random and many, or none at all, though the raw outputs are right.",
        "Take the decoder of the exporter's own version (YOLOv5's has an objectness, v8's has none; YOLOX needs its "
        "grids); in a plan, postprocess.format.",
        "",
        "any object",
    ),
)
