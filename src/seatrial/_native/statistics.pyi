"""COCO's average precision on resampled images, and queues. For: seatrial.parity.evaluation and seatrial.stats.queue."""

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

def queue_latencies(
    arrivals: npt.NDArray[np.float64], service: npt.NDArray[np.float64], servers: int
) -> npt.NDArray[np.float64]:
    """(n,) from each arrival to its end, wait included, in one queue before so many servers, first come first served.

    arrivals: (n,) ascending; service: (n,); both in one unit, contiguous. ValueError for unlike lengths, or no 1 to 1,024
    servers.
    """

def highest_rate(
    gaps: npt.NDArray[np.float64],
    service: npt.NDArray[np.float64],
    servers: int,
    bound: float,
    allowed: int,
    lowest: float,
    highest: float,
) -> float:
    """The highest rate of [lowest, highest] at which at most `allowed` of these requests take longer than `bound`, to a
    part in 2,000; 0 where even the lowest has more.

    gaps: (n,) between arrivals at the rate 1; service: (n,); both contiguous. ValueError as above, and for rates that are
    not above 0 and in order.
    """
