"""What seatrial.record/1 and the files beside it say, in the words of seatrial.record/2. For: runs of before. Pure."""

from __future__ import annotations

from typing import Any

from seatrial.warning import Warning

RECORD, CELL_MARK = "seatrial.record/1", "measurement"
_MEASUREMENT = (
    "stages",
    "throughput",
    "peak_memory",
    "first_inference",
    "cold_start",
    "model_size",
    "warm_up",
    "converged",
    "affinity",
    "io_policy",
    "backend_details",
    "engines",
    "nan_outputs",
    "doubt",
)
_ACCURACY = {"accuracy_name": "metric", "accuracy": "value", "accuracy_note": "note", "accuracy_by_tag": "by_tag"}
_IDENTITY = (
    "plan_digest",
    "images_digest",
    "model_digests",
    "truth_digest",
    "code_digests",
    "machine_fingerprint",
    "model_digest",
)
_TOLD = ("warnings", "disturbances")
# Warnings were sentences: by what is in one, those whose kind a report asks for. No sentence of now is read like this.
CODES = {
    "NOT CONVERGED": "not-converged",
    "has no lower bound": "no-lower-bound",
    "has no upper bound": "no-upper-bound",
    "the stages add up to": "unaccounted-time",
    "the hypervisor gave others": "steal",
    "the process waited": "run-queue",
    "other work took": "other-load",
    "CPU limit stopped the process": "throttle",
    "major page fault": "disk-reads",
    "minor page fault": "fresh-pages",
    "heat slowed the cores": "heat",
    "the cores' clock moved": "clock-frequency",
    "the system clock jumped": "clock-jump",
    "the machine slept": "sleep",
    "OVERLOADED": "overload",
    "requests were not begun": "unserved",
    "the table of samples was full": "full-table",
    "peak memory is of": "unseen-images",
    "not one box on any": "nothing-found",
    "results are of a class that is none of": "unknown-classes",
}


def record_of(old: dict[str, Any]) -> dict[str, Any]:
    """record.json. Sections that were open are closed by the models that read them; what they lack has a default there."""
    old = _with_codes(old)
    new = {k: v for k, v in old.items() if k != "schema"}
    new["cells"] = [cell_of(c) for c in old.get("cells", [])]
    new["comparisons"] = [c | {"asked": c.get("asked") or None} for c in old.get("comparisons", [])]
    new["images"] = {k: v for k, v in old.get("images", {}).items() if v is not None}
    return new


def cell_of(old: dict[str, Any]) -> dict[str, Any]:
    """cells/ID.json, or a cell of a record: one table of fields becomes named parts."""
    old = _with_codes(old)
    gone = {*_MEASUREMENT, *_ACCURACY, "load", "load_result", "noise", "spikes"}
    new = {k: v for k, v in old.items() if k not in gone}
    # As it is called now; ids stay, since samples are found by them.
    if old.get("precision") == "int8":
        new["precision"] = "int8-u8"
    if old.get("stages"):
        new["measurement"] = {k: old[k] for k in _MEASUREMENT if k in old} | {"load_time": old.get("load")}
    if old.get("accuracy") or old.get("accuracy_name") or old.get("accuracy_note"):
        new["accuracy"] = {name: old[k] for k, name in _ACCURACY.items() if k in old}
    load = old.get("load_result")
    if load:
        new["load"] = load | {"python_path": load.get("python_path") or None}
    if old.get("noise"):
        new["noise"] = old["noise"] | {"spikes": old.get("spikes", [])}
    return new


def start_of(old: dict[str, Any]) -> dict[str, Any]:
    """run.json."""
    old = _with_codes(old)
    kind = "bench" if "bench" in old else "compare" if "compare" in old else "trial"
    subject = old.get("compare") or [old.get("bench") or old.get("plan", "")]
    return {
        "kind": kind,
        "created": old.get("created", ""),
        "subject": subject,
        "identity": {k: old[k] for k in _IDENTITY if k in old},
        "environment": old.get("environment"),
    }


def _with_codes(old: Any) -> Any:
    """The same with warnings for sentences, however deep they lie."""
    if isinstance(old, list):
        return [_with_codes(v) for v in old]
    if not isinstance(old, dict):
        return old
    converted = {k: [_warning(said) for said in v] for k, v in old.items() if k in _TOLD and isinstance(v, list)}
    return {k: converted[k] if k in converted else _with_codes(v) for k, v in old.items()}


def _warning(said: Any) -> Any:
    """A disturbance had its cure apart, in a sentence it stood behind the rest; what is neither is left for validation."""
    text, cure = (said.get("what"), said.get("cure", "")) if isinstance(said, dict) else (said, "")
    if not isinstance(text, str):
        return said
    code = next((code for words, code in CODES.items() if words in text), "old")
    if code == "not-converged" and "; " in text:  # reports tell the cure of many cells once
        text, _, cure = text.rpartition("; ")
    return Warning(code, text, cure)
