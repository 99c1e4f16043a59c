# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=True
# Joins csrc's statistics to Python: checks shapes, one call without the GIL; nothing else.
from libc.stdint cimport int32_t, int64_t, uint32_t

import numpy as np

cdef extern from "statistics/average_precision.hpp" namespace "seatrial" nogil:
    cdef struct Found:
        const int32_t* image
        const uint32_t* matched
        const uint32_t* ignored
        int64_t count
    void _average_precision "seatrial::average_precision"(
        const Found& found, const double* objects, int64_t images, const double* weights, int64_t samples,
        int thresholds, const double* recall_levels, int levels, double* out) except +

cdef extern from "statistics/queue.hpp" namespace "seatrial" nogil:
    const int most_servers
    void _queue_latencies "seatrial::queue_latencies"(
        const double* arrivals, const double* service, int64_t count, int servers, double* latencies)
    double _highest_rate "seatrial::highest_rate"(
        const double* gaps, const double* service, int64_t count, int servers, double bound, int64_t allowed,
        double lowest, double highest)


def average_precision(
    const int32_t[::1] image, const uint32_t[::1] matched, const uint32_t[::1] ignored, const double[::1] objects,
    const double[:, ::1] weights, int thresholds, const double[::1] recall_levels,
):
    cdef int64_t count = image.shape[0], images = weights.shape[1], samples = weights.shape[0]
    if matched.shape[0] != count or ignored.shape[0] != count or objects.shape[0] != samples:
        raise ValueError(
            f"expected a match a detection and a count of objects a sample, got {count}, {matched.shape[0]}, "
            f"{ignored.shape[0]} and {samples}, {objects.shape[0]}"
        )
    if not 0 < thresholds <= 32 or recall_levels.shape[0] == 0 or images == 0:
        raise ValueError(f"expected 1 to 32 thresholds, one recall level and one image or more, got {thresholds}")
    cdef int64_t d
    for d in range(count):
        if not 0 <= image[d] < images:
            raise ValueError(f"image: expected 0 to {images - 1}, got {image[d]}")
    out = np.empty((samples, thresholds))
    cdef double[:, ::1] values = out
    cdef Found found
    found.image = &image[0] if count else NULL
    found.matched = &matched[0] if count else NULL
    found.ignored = &ignored[0] if count else NULL
    found.count = count
    if samples:
        with nogil:
            _average_precision(
                found, &objects[0], images, &weights[0, 0], samples, thresholds, &recall_levels[0],
                <int>recall_levels.shape[0], &values[0, 0],
            )
    return out


cdef int checked_servers(int64_t arrivals, int64_t service, int servers) except -1:
    if arrivals != service or not 1 <= servers <= most_servers:
        raise ValueError(
            f"expected a service time an arrival and 1 to {most_servers} servers, got {service} for {arrivals} and {servers}"
        )
    return servers


def queue_latencies(const double[::1] arrivals, const double[::1] service, int servers):
    cdef int64_t count = arrivals.shape[0]
    checked_servers(count, service.shape[0], servers)
    out = np.empty(count)
    cdef double[::1] latencies = out
    if count:
        with nogil:
            _queue_latencies(&arrivals[0], &service[0], count, servers, &latencies[0])
    return out


def highest_rate(
    const double[::1] gaps, const double[::1] service, int servers, double bound, int64_t allowed, double lowest,
    double highest,
):
    cdef int64_t count = gaps.shape[0]
    checked_servers(count, service.shape[0], servers)
    if not 0 < lowest <= highest < float("inf"):
        raise ValueError(f"expected rates above 0 in order, got {lowest} and {highest}")
    cdef double found = highest
    if count:
        with nogil:
            found = _highest_rate(&gaps[0], &service[0], count, servers, bound, allowed, lowest, highest)
    return found
