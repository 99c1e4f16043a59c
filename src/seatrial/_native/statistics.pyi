"""COCO's average precision on resampled images. For: seatrial.parity.evaluation."""

import numpy as np
import numpy.typing as npt

def average_precision(
    image: npt.NDArray[np.int32],
    matched: npt.NDArray[np.uint32],
    ignored: npt.NDArray[np.uint32],
    objects: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    thresholds: int,
    recall_levels: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """(samples, thresholds) average precisions of one class.

    image, matched, ignored: (detections,), best score first; bit t of matched and ignored is of threshold t. objects:
    (samples,) what there is to find; weights: (samples, images) how often each image was drawn, whole numbers. NaN where
    there is nothing to find.
    All contiguous. ValueError where shapes do not fit or an image is not there.
    """
