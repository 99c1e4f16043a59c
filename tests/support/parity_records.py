"""Parity records made by hand: what each kind of answer looks like. Not for: what a real comparison writes."""

from seatrial.history.records.diagnosis import (
    Diagnosis,
    FaultEffect,
    Invariant,
    OtherFault,
    ParityRecord,
    StageDifference,
    WorstImage,
)
from seatrial.history.records.inside import InsideJump, InsideOfPlan, InsideTensor
from seatrial.warning import Warning

REFERENCE = "baseline (onnxruntime-cpu fp32, seamarks-v1.onnx)"
CANDIDATE = "taps of vendor service 2.1"


def stage(name, start, images=0, value=0.0, floor=0.0, of=200, **fields):
    return StageDifference(
        stage=name, start=start, metric=fields.pop("metric", "mean |Δ| over the mean deviation"), value=value, floor=floor, images=images, of=of, **fields
    )  # fmt: skip


RANDOM = stage("outputs", "input", 200, 0.31, 1.9e-6, largest=12.5, shape="random, in all classes alike")
TRAINED = stage("outputs", "input", 32, 0.31, 1.9e-6, of=32, largest=3.5)
SWAPPED = stage("input", "resized", 198, 0.4127, largest=0.8824)
RECORDS = {
    "fault": ParityRecord(
        verdict="DIFFER",
        reason="the input tensor differs in 198 of 200 images: channel-order",
        reference=REFERENCE,
        candidate=CANDIDATE,
        images=200,
        stages=(
            stage("decoded", "encoded", largest=0.0),
            stage("resized", "decoded", largest=0.0),
            SWAPPED,
            stage("outputs", "input", 0, 2.1e-6, 1.9e-6, largest=3.1e-4),
            stage("results", "outputs", 17, 0.0312, metric="share of the results that is wrong"),
        ),
        first_divergence=SWAPPED,
        diagnosis=(
            Diagnosis(
                fault="channel-order",
                what="feeds BGR",
                stage="input",
                explained=1.0,
                exact=True,
                confirmed=24,
                runner_up=OtherFault(fault="mean-std", what="applies mean and std: ImageNet's", explained=0.1249),
                effect=FaultEffect(metric="mAP", without=0.7801, within=0.6124, interval=(0.5713, 0.6498)),
                fix="swap the channels before the tensor: cv2.cvtColor(image, cv2.COLOR_BGR2RGB)",
                at="trial.yaml:9: preprocess.color: rgb",
            ),
            Diagnosis(
                fault="nms-settings",
                what="runs NMS at an IoU of 0.7",
                stage="results",
                explained=0.97468,
                exact=False,
                confirmed=9,
                runner_up=OtherFault(fault="label-map", what="has labels 3 and 4 the other way round", explained=-0.2),
            ),
        ),
        invariants=(
            Invariant(name="a row of a batch equals the image alone", holds=True, said="16 images"),
            Invariant(name="identical rows are identical", holds=True, said="4 batches"),
            Invariant(name="order changes nothing", holds=None, said="taps cannot be run again"),
        ),
        worst_images=(WorstImage(name="harbour/0131.jpg", stage="input", value=0.912), WorstImage(name="a[b]c.jpg", stage="input", value=0.88)),
        warnings=(Warning("one-side-only", "2 images are in the plan's folder alone and were left out: x.jpg, y.jpg"),),
        tried=143,
        wall_s=38.4,
    ),
    "alike": ParityRecord(
        verdict="DIFFER",
        reason="the resized image differs in 31 of 40 images: antialias",
        reference=REFERENCE,
        candidate="candidate",
        images=40,
        stages=(stage("results", "encoded", 31, 0.211, 0.004, of=40, metric="share of the results that is wrong"),),
        first_divergence=stage("results", "encoded", 31, 0.211, 0.004, of=40, metric="share of the results that is wrong"),
        diagnosis=(
            Diagnosis(
                fault="antialias",
                what="resizes linearly without antialiasing (OpenCV's INTER_LINEAR)",
                stage="resized",
                explained=0.9996,
                exact=False,
                confirmed=1,
                alike=(OtherFault(fault="half-pixel", what="samples with aligned corners", explained=0.9991),),
                telling="fine detail, at least twice as large as the input (fine-detail-1280.png)",
            ),
        ),
        declared=("preprocess.interpolation: antialias_linear against linear",),
        tried=143,
        wall_s=91.0,
    ),
    "unknown": ParityRecord(
        verdict="DIFFER",
        reason="raw outputs differ in all 200 images, and no known mistake explains it",
        reference=REFERENCE,
        candidate=CANDIDATE,
        images=200,
        stages=(RANDOM,),
        first_divergence=RANDOM,
        near=(
            OtherFault(fault="calibration", what="was calibrated on BGR", explained=0.31),
            OtherFault(fault="pooling-mode", what="rounds pooling up", explained=-1.0),
        ),
        invariants=(Invariant(name="a row of a batch equals the image alone", holds=False, said="rows 2 to 4 differ by up to 3.1"),),
        tried=60,
        wall_s=12.0,
    ),
    "equal": ParityRecord(
        verdict="EQUAL",
        reason="all stages agree within the floor",
        reference=REFERENCE,
        candidate="baseline (openvino-cpu fp32)",
        images=32,
        stages=(stage("outputs", "input", 0, 2.1e-6, 1.9e-6, of=32), stage("results", "outputs", 0, of=32, metric="share of the results that is wrong")),
        wall_s=3.2,
    ),
    "inside": ParityRecord(
        verdict="DIFFER",
        reason="the pipelines part at 'outputs' on 32 of 32 images: they run two models",
        reference=REFERENCE,
        candidate="candidate",
        images=32,
        stages=(TRAINED,),
        first_divergence=TRAINED,
        inside=InsideOfPlan(
            verdict="differ",
            reason="output output0: an error of 0.31 of its spread in the worst of 9 rows, above 0.001",
            a="seamarks-v1.onnx in fp32 on onnxruntime-cpu",
            b="trained.onnx in fp32 on onnxruntime-cpu",
            jumps=(
                InsideJump(node="/layer.1/Conv", operator="Conv", tensor="t1", position=1, error_in=0.0, error_out=0.2, own_error=0.2, tolerance=3e-5, how="other weights"),
                InsideJump(node="/layer.2/Conv", operator="Conv", tensor="t2", position=2, error_in=0.2, error_out=None, own_error=None, tolerance=3e-5, among=("/pad",)),
            ),
            errors=tuple(InsideTensor(tensor=f"t{k}", position=k, error=e, own_error=e) for k, e in enumerate((0.0, 0.2, None, 0.4))),
            matched=4,
            nodes=4,
            images=4,
            notes=("marking tensors as outputs keeps a runtime from fusing across them",),
        ),
        wall_s=9.0,
    ),
    "inconclusive": ParityRecord(
        verdict="INCONCLUSIVE",
        reason="the reference gives NaN in 3 of 4 images, so that nothing can be compared with it",
        reference=REFERENCE,
        candidate="evil\x1b[31m<script>alert(1)</script>",
        images=4,
        stages=(stage("results", "encoded", 0, of=4),),
        warnings=(Warning("nan-reference", "NaN in the reference's outputs", "take another model"),),
        wall_s=0.4,
    ),
}  # fmt: skip
