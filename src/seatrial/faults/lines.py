"""The line of usual code that does right what a plan's key says, by the mistake and the key's value. Pure data.

For: candidates that are code of one's own, or a log of it. Not for: cures in words (Fault.cure), or plans' own lines.
"""

from __future__ import annotations

from seatrial.faults.catalogue import FAULTS

# By the value where it decides, '' for any other; {value} is it, {times} what a number multiplies or divides by.
LINES: dict[str, dict[str, str]] = {
    "channel-order": {
        "rgb": "cv2.cvtColor(image, cv2.COLOR_BGR2RGB) once between cv2.imread and the tensor; Pillow's images are RGB",
        "bgr": "no cv2.cvtColor between cv2.imread and the tensor; np.asarray(image)[..., ::-1] of Pillow's",
    },
    "scale-missing": {"": "image.astype(np.float32) {times}"},
    "scale-doubled": {"": "image.astype(np.float32) {times}, once: ToTensor() scales already"},
    "scale-wrong": {"": "image.astype(np.float32) {times}"},
    "interpolation": {
        "nearest": "cv2.resize(image, (width, height), interpolation=cv2.INTER_NEAREST)",
        "linear": "cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)",
        "cubic": "cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)",
        "area": "cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)",
    },
    "antialias": {
        "linear": "cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), which does not antialias",
        "cubic": "cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC), which does not antialias",
        "antialias_linear": "Pillow's image.resize((width, height), Image.BILINEAR), or resize(…, antialias=True)",
        "antialias_cubic": "Pillow's image.resize((width, height), Image.BICUBIC), or resize(…, antialias=True)",
    },
    "pad-value": {"": "cv2.copyMakeBorder(image, *sides, cv2.BORDER_CONSTANT, value=({value}, {value}, {value}))"},
    "exif": {
        "apply": "cv2.imread(path, cv2.IMREAD_COLOR), or ImageOps.exif_transpose(Image.open(path))",
        "ignore": "cv2.imread(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)",
    },
    "layout-reshape": {
        "nchw": "np.ascontiguousarray(image.transpose(2, 0, 1))[None], never reshape",
        "nhwc": "image[None], without a transpose or reshape",
    },
}
_IN_A_PLAN = ("; in a plan", " In a plan")


def line_of(fault: str, said: str, value: object = None, twin: bool = False) -> str:
    """'cv2.cvtColor(…)', or the catalogue's cure without what it says of plans. said: the key's value, as the plan has it;
    value: the same as a number, where it is one; twin: of the other mistake by that name."""
    lines = LINES.get(fault, {})
    line = lines.get(said, lines.get(""))
    return line.format(value=said, times=_times(said, value)) if line else cure_in_code(fault, twin)


def _times(said: str, value: object) -> str:
    """'/ 255' of 1/255, '* 0.007' of others."""
    inverse = 1 / value if isinstance(value, float) and value else 0.0
    return f"/ {inverse:.0f}" if inverse > 1 and abs(inverse - round(inverse)) < 1e-6 * inverse else f"* {said}"


def cure_in_code(fault: str, twin: bool = False) -> str:
    own = FAULTS[fault]
    cure = (own.twin or own if twin else own).cure
    for words in _IN_A_PLAN:
        cure = cure.partition(words)[0]
    return cure.rstrip(".")
