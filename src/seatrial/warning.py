"""What makes a result less certain, or is odd about what was given: a code for programs, words for people.

For: one vocabulary from whoever sees it to the record and the report. Not for: errors (errors.py). Nobody reads the words to
find out what kind a warning is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Warning:
    """code: one of CODES; a record of a later version may have others. cure: '' where nobody knows one."""

    code: str
    text: str
    cure: str = ""

    def __str__(self) -> str:
        return f"{self.text}; {self.cure}" if self.cure else self.text

    def of(self, name: str) -> Warning:
        """The same, said of what bears that name."""
        return replace(self, text=f"{name}: {self.text}")


CODES = {
    # One sample.
    "not-converged": "the time was up before the figure was known as closely as was asked",
    "no-lower-bound": "too few requests for the lower end of a percentile's interval",
    "no-upper-bound": "too few requests for the upper end of a percentile's interval",
    "unaccounted-time": "the stages do not add up to the end-to-end time",
    "level-shift": "the runtime exchanged kernels in the midst of the measurement: latencies are of two levels",
    "unsteady-warm-up": "the warm-up ended before the latency kept its level, where the runtime may exchange kernels",
    "images-on-disk": "the images did not fit in memory, so that decode reads them from disk",
    "computed-otherwise": "most products compute in another type than the precision's",
    "computed-unknown": "the runtime does not tell in which type most products compute, or it could not be found out",
    "engine-comparison": "native and reference kernels could not be held against each other",
    # The machine, before a run.
    "governor": "the CPU's governor lets clocks follow the load",
    "turbo": "turbo is on",
    "smt": "hyper-threading is on",
    "numa": "the cores belong to several NUMA nodes",
    "clock-source": "each reading of the clock is slow",
    "simd": "the kernels do without a SIMD level that the machine has",
    "battery": "the machine runs on battery",
    "virtual-machine": "other guests can take the cores",
    "one-core": "harness, system and model share one core",
    "cpu-limit": "a container's limit is below the number of cores",
    "swap": "much memory is swapped out",
    "little-memory": "so little memory is free that cells may be killed",
    # The machine, before a run or during it.
    "other-load": "other work ran beside the measurement",
    # The machine, during a run.
    "steal": "the hypervisor gave the cores to others",
    "run-queue": "the process was ready and waited for a core",
    "throttle": "a control group's CPU limit stopped the process",
    "disk-reads": "major page faults: memory was read from the disk",
    "fresh-pages": "minor page faults: memory is given back and fetched anew in every run",
    "heat": "heat slowed the cores",
    "clock-frequency": "the cores' clock moved",
    "gpu-clock": "requests ran in a lower clock state of the GPU",
    "gpu-clock-lock": "the GPU's clocks were to be held while it was measured",
    "gpu-persistence": "the GPU's driver unloads between runs",
    "clock-jump": "the system's date jumped",
    "sleep": "the machine slept",
    # Loads.
    "overload": "a server's clients have more to do than time",
    "unserved": "requests were not begun when the time was up",
    "full-table": "the table of samples was full before the time was up",
    "unseen-images": "the load ended before every image had its turn",
    "loadgen-latency": "LoadGen's latencies count from its own schedule, the percentiles here do not",
    "unlike-outputs": "the C API and the Python binding gave different outputs",
    "python-binding": "the Python binding could not be held against the native loop",
    "printed": "the process printed something while it did its work",
    "unproved-rate": "a search could prove no rate to hold its bound",
    "queue-model": "requests waited otherwise than a queue of the measured service times explains",
    "cut-short": "the run ended before its time",
    # Comparisons.
    "too-few-pairs": "too few pairs of processes for an interval",
    "launch-modes": "launches, or pairs of them, fall into two groups",
    "launch-order": "the side that is launched second is slower or faster by more than the margin",
    "latency-modes": "latencies have more than one mode: two ways to take a median disagree",
    "python-calls": "both sides are called from Python, since one has no native loop",
    "one-runtime": "two interpreters run the same version of the runtime",
    # Images.
    "other-files": "files in the images' folder that are no images",
    "hidden-images": "images left out, being hidden",
    "links": "links left out that lead nowhere or to a folder",
    "frames": "images of several frames or pages, of which the first is read",
    "copies": "images that are the same, byte for byte",
    "reduced-images": "preprocessing leaves next to nothing of an image",
    "enlarged-images": "preprocessing enlarges an image many times",
    # Plan and models.
    "check-marks": "lines of the plan are still marked CHECK",
    "integer-form": "a plan names int8, which once was what int8-u8 is, and not int8-u8",
    "conversion": "what a model in another precision was made on says little of it",
    "made-anew": "a model of the cache was damaged, and was made once more",
    "reduced-weights": "a model's file is not fp32, and its fp32 cells run it as it is",
    "batch-mates": "an image's answer depends on its place in a batch, or on its neighbours",
    "batch-mates-unknown": "no output tells whether an image's answer depends on its neighbours in a batch",
    "rows-without-image": "an output has another number of rows than the batch has images",
    "twins": "two pipelines are the same",
    "unread-names": "the metadata's class names are no list and no dict of number to name",
    "nameless-classes": "the metadata's class names leave classes out",
    "label-conflict": "the plan's labels differ from the names in the model's metadata",
    # Truth and classes.
    "image-sizes": "images have another size than their annotations say",
    "empty-boxes": "boxes of the truth have no area",
    "tiny-boxes": "boxes of the truth are at most one pixel large",
    "outside-boxes": "boxes of the truth reach outside their image",
    "tiny-shapes": "polygons, regions or keypoints of the truth lie within their image's first pixel",
    "unlike-fields": "masks or keypoints of the truth lie elsewhere than their annotation's own bbox",
    "keypoint-names": "keypoints have other names in the model than in the truth",
    "default-sigmas": "keypoints are judged by sigmas that nobody gave for them",
    "small-angles": "boxes of the truth are turned by so few degrees that they look like radians",
    "crossed-regions": "regions of text in the truth cross themselves or have no area",
    "no-masks": "images without a single mask in the truth",
    "unjudged-pixels": "pixels that nobody annotated are not judged",
    "no-objects": "no image of the trial has anything to be found in the truth",
    "unreadable-texts": "texts of the truth have characters that no class of the dictionary stands for",
    "empty-texts": "texts of the truth are empty",
    "left-out": "many annotations of the truth are not judged",
    "miscounted-keypoints": "annotations say another num_keypoints than they have visible keypoints",
    "far-values": "one greatest value in many pixels of a dense truth looks like none",
    "turned-images": "EXIF turns images where no size of the truth shows it",
    "other-folder": "the truth of images is taken from another folder by the file's name alone",
    "stray-annotations": "annotations name an image that the file does not have",
    "repeated-annotations": "annotations stand twice",
    "impossible-areas": "annotations have an area outside COCO's range",
    "areas-beyond-box": "annotations of poses have a larger area than their box",
    "repeated-rows": "rows of a CSV say what another row says already",
    "untagged-rows": "rows of a CSV are without a tag",
    "unknown-images": "a CSV names images that the trial does not have",
    "rowless-answers": "images without an answer are taken to have no objects",
    "boxes-alone": "answers lack what the reference gives beside its boxes",
    "scores-unknown": "answers have no scores",
    "no-tags": "no image of the trial has a tag",
    "folded-names": "classes matched but for capitals, spaces, '_' or '-'",
    "class-order": "without labels, classes are taken for categories by their order",
    "label-numbers": "numbers of label images are taken for the labels in their order",
    "class-count": "the model's file leaves its number of classes open",
    "class-conflict": "the plan's class_ids go against names that agree",
    "placeholder": "a category that only groups the others is taken for no class",
    "lost-categories": "annotated categories are no class of the model",
    "unused-categories": "categories have neither annotations here nor a class",
    "extra-classes": "classes of the model are no category of the truth",
    "no-accuracy": "there is a truth, but no accuracy",
    "unlike-coverage": "pipelines know unlike classes of the truth",
    "unmatched-classes": "one of two pipelines has classes that the other lacks",
    "assumed-classes": "class ids of two pipelines are taken to mean the same",
    "unlike-classes": "nothing says which class of one pipeline is which of another's",
    # Outputs and results.
    "implausible-outputs": "the outputs of a reduced precision do not fit the postprocess",
    "undecided-outputs": "nothing says which output holds the boxes and which the scores",
    "double-activation": "scores that are probabilities already get an activation",
    "raw-logits": "scores that are logits get no activation",
    "background-column": "the column that is dropped as the background may be a class",
    "blank-class": "the class that is read as the blank hardly ever wins",
    "angle-column": "the column that is read as an angle may be a class",
    "normalisation": "a mean or std is of pixels of another scale",
    "unusual-input": "an input beside the image is filled with other numbers than its name means",
    "boxes-unit": "boxes may count other pixels than the format says",
    "lost-objects": "objects that the model is sure of lie outside their picture, have no area or no class",
    "corners-or-centres": "boxes make sense as corners only, or as centre and size only, and are read as the other",
    "keypoints-apart": "keypoints lie elsewhere than their boxes",
    "constant-map": "a dense map has one value on all images",
    "independent-scores": "scores read as one class a pixel look like independent sigmoids",
    "no-inverse": "values to be inverted are not above 0",
    "overflow": "an output is infinite somewhere",
    "nothing-found": "a detector finds nothing on any image",
    "shifted-classes": "far more would be right if classes were counted from one more or less",
    "reversed-texts": "more texts are right read backwards",
    "unknown-classes": "results are of a class that the model does not have",
    "few-pixels": "the truth judges few of the pixels",
    "bare-images": "a model finds as much on images without an annotation as on others",
    "negative-values": "values of a depth are below 0",
    "other-unit": "values are another unit's than the truth's",
    "folded-texts": "texts are right but for capitals, spaces or full-width forms",
    # Two pipelines held against each other.
    "one-sided-images": "images that one side alone has were left out",
    "channel-convention": "one side has its pictures as BGR and the other as RGB, before the model's input",
    "task-not-judged": "both sides' results could not be held against each other, or against the truth",
    "reference-not-finite": "the reference itself has NaN or infinity somewhere: nothing is equal to that",
    "reference-not-stable": "the reference gives other answers when it is opened anew",
    "floor-not-measured": "what the reference differs from itself by could not be measured; the table's tolerances hold",
    "grey-images": "no image has a colour: channels in the wrong order show in none of them",
    "not-compared": "taps have stages or outputs that the plan's pipeline has not",
    "outputs-by-order": "taps have other names for the model's outputs, and were compared in their order",
    "stage-passed-over": "the reference cannot go on from a stage of the candidate: another shape or type, or no number",
    "taps-note": "what taps say of themselves, such as that they were broken off",
    "changed-in-place": "a stage changes in place what another gave it",
    "not-explained": "why answers failed could not be looked into",
    "reference-unsound": "the reference's answers depend on what it is run with, so that nothing is measured by it",
    "mistakes-untried": "some known mistakes could not be tried, for want of a package or because of an error",
    "diagnosis-cut-short": "time was up before all known mistakes had been tried",
    "inside-not-searched": "raw outputs differ, and both models were not searched for the node that makes it",
    # The run as a whole.
    "noise-floor": "what processes differ by without any change is not known",
    "no-pictures": "the report's pictures could not be drawn",
    # Records of before seatrial.record/2.
    "old": "a sentence of a record from before there were codes",
}
"""What each code means. A code keeps its meaning for good."""

COUNTED = {
    "unaccounted-time",
    "steal",
    "run-queue",
    "other-load",
    "throttle",
    "disk-reads",
    "fresh-pages",
    "heat",
    "clock-frequency",
    "clock-jump",
    "sleep",
    "overload",
    "unserved",
    "full-table",
    "unseen-images",
    "nothing-found",
    "unknown-classes",
    "lost-objects",
}
"""Those of cells that differ in their figures alone: a list of many cells shows one and counts the others."""
