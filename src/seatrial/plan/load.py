"""A plan file to a checked Plan: `extends` resolved, paths absolute, every error with its line and the nearest word.

For: what can be known from the plan's own text and folder. Not for: opening images or models (images, model).
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from seatrial.errors import NOT_UTF8, PlanError, did_you_mean, is_utf8, printable, short_list
from seatrial.plan.judged_by import unfit
from seatrial.plan.models import Plan
from seatrial.plan.places import belongs
from seatrial.plan.source import KeyPath, Source, dotted, parse_yaml, read_yaml
from seatrial.plan.unread_keys import drop_unread


@dataclass(frozen=True)
class PlanFile:
    """A checked plan and where it stands. Relative paths in `plan` are relative to `folder`.

    `changes` are the values that were laid over the file's text.
    """

    path: Path
    plan: Plan
    text: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    source: Source | None = field(default=None, compare=False, repr=False)

    def where(self, at: KeyPath) -> str:
        """'trial.yaml:12: pipelines.candidate.model' for messages."""
        return self.source.where(at) if self.source else f"{self.path}: {dotted(at)}"

    @property
    def folder(self) -> Path:
        return self.path.parent

    @property
    def digest(self) -> str:
        """sha256 of the plan's meaning: layout and comments don't count."""
        canonical = json.dumps(self.plan.model_dump(mode="json"), sort_keys=True)
        return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def unconfirmed(self) -> tuple[str, ...]:
        """What `init` was not sure of and nobody has confirmed: the comment lines of the text that begin with CHECK."""
        comments = (line.strip() for line in self.text.splitlines())
        return tuple(c[1:].strip().removeprefix("CHECK").strip() for c in comments if re.match(r"#\s*CHECK\b", c))

    def resolve(self, relative: str) -> Path:
        return (self.folder / relative).absolute()


def load_plan(path: str | Path, changes: dict[str, Any] | None = None) -> PlanFile:
    """Reads and checks a plan. PlanError lists every mistake, each with file, line, key and what was expected.

    `changes` maps dotted keys to values laid over the file before the check: how `demo --break` makes its faults.
    """
    file = Path(path).absolute()
    if not is_utf8(file):
        raise PlanError(f"{printable(str(file))}: {NOT_UTF8}")
    return _checked(read_yaml(file), Path(path), changes)


def plan_in_memory(text: str, path: Path, changes: dict[str, Any] | None = None) -> PlanFile:
    """As load_plan, of text that stands in no file. path: absolute; its folder is what the plan's paths are relative to, and
    its name what messages and records call the plan."""
    return _checked(parse_yaml(text, path), path, changes)


def _checked(source: Source, path: Path, changes: dict[str, Any] | None) -> PlanFile:
    source.path = path
    if not isinstance(source.data, dict):
        raise PlanError(
            f"{source.path}: expected keys such as version, images and pipelines, got {type(source.data).__name__}"
        )
    _extend_pipelines(source)
    for dotted_key, value in (changes or {}).items():
        _lay_over(source.data, dotted_key.split("."), value)
    try:
        plan = Plan.model_validate(source.data)
    except ValidationError as e:
        lines = list(dict.fromkeys(_message(source, error) for error in e.errors()))
        raise PlanError("\n".join(lines)) from None
    problems = [f"{source.where(at)}: {what}" for at, what in _cross_checks(plan)]
    if problems:
        raise PlanError("\n".join(problems))
    return PlanFile(path.absolute(), plan, source.text, changes or {}, source)


def _lay_over(data: Any, keys: list[str], value: Any) -> None:
    """Sets what a dotted key names; a number counts into a list: 'budgets.0.max'."""
    for key in keys[:-1]:
        data = data[int(key)] if isinstance(data, list) else data.setdefault(key, {})
    data[int(keys[-1]) if isinstance(data, list) else keys[-1]] = value


def _extend_pipelines(source: Source) -> None:
    """Replaces each pipeline that extends another by the merge of both, lines included. Cycles are an error."""
    pipelines = source.data.get("pipelines")
    if not isinstance(pipelines, dict):
        return
    done: dict[str, Any] = {}

    def resolved(name: str, chain: tuple[str, ...]) -> Any:
        if name in done:
            return done[name]
        own = pipelines[name]
        parent = own.get("extends") if isinstance(own, dict) else None
        if parent is None:
            done[name] = own
            return own
        at: KeyPath = ("pipelines", name, "extends")
        if not isinstance(parent, str) or parent not in pipelines:
            others = [p for p in pipelines if p != name]
            raise PlanError(
                f"{source.where(at)}: no pipeline is called {parent!r}{did_you_mean(str(parent), others)}; "
                f"pipelines are {', '.join(pipelines)}"
            )
        if parent in (*chain, name):
            raise PlanError(
                f"{source.where(at)}: pipelines extend each other in a circle: {' → '.join((*chain, name, parent))}"
            )
        base = resolved(parent, (*chain, name))
        done[name] = _merge(base, own)
        drop_unread(done[name].get("postprocess"), own.get("postprocess"))
        for key_path, line in list(source.lines.items()):
            if key_path[:2] == ("pipelines", parent):
                source.lines.setdefault(("pipelines", name, *key_path[2:]), line)
        return done[name]

    source.data["pipelines"] = {name: resolved(name, ()) for name in pipelines}


def _merge(base: Any, own: Any) -> Any:
    """Own keys over base's, group by group. A python stage replaces a built-in one whole, and the other way round."""
    if not (isinstance(base, dict) and isinstance(own, dict)) or ("python" in base) != ("python" in own):
        return copy.deepcopy(own)
    merged = copy.deepcopy(base)
    for key, value in own.items():
        merged[key] = _merge(base[key], value) if key in base else copy.deepcopy(value)
    return merged


# Errors of the plan's own validators, whose words are whole.
_OWN = (
    "unknown_key",
    "missing_format",
    "wrong_format",
    "unread_key",
    "unfit_keys",
    "missing_keypoints",
    "wrong_sigmas",
    "wrong_boxes",
    "missing_anchors",
    "unread_anchors",
    "wrong_side",
    "no_limit",
    "bad_limit",
    "only_latency",
    "repeated",
    "bad_name",
    "bad_option",
)


def _message(source: Source, error: Any) -> str:
    """One pydantic error as 'file:line: key: what was expected, what came (did you mean …?)'."""
    context = error.get("ctx") or {}
    at: KeyPath = ()
    for part in error["loc"]:
        # A union's branch ('@builtin', 'str', 'list[str]') stands in the location; the user never wrote it.
        branch = isinstance(part, str) and (
            part.startswith("@") or part in ("str", "float", "int", "bool") or "[" in part
        )
        if not branch or (*at, part) in source.lines:
            at = (*at, part)
    for key in ("key", "under"):
        at = (*at, str(context[key])) if key in context else at
    kind, given = error["type"], error.get("input")
    if kind == "missing":
        what = "this key is required"
    elif kind == "literal_error":
        words = re.findall(r"'([^']*)'", context["expected"])
        what = (
            f"expected one of {', '.join(words) or context['expected']}, got {given!r}{did_you_mean(str(given), words)}"
        )
    elif kind == "value_error":
        what = str(context["error"])
    elif kind in _OWN:
        what = error["msg"] + (belongs(Plan, at) if kind == "unknown_key" else "")
    elif kind == "model_type":
        what = f"expected keys and their values, got {_short(given)}"
    else:
        what = f"{error['msg'][:1].lower()}{error['msg'][1:]}, got {_short(given)}"
    # A value of the user's may stand in it whole.
    return f"{source.where(at)}: {what if len(what) <= 600 else f'{what[:480]} ... {what[-100:]}'}"


def _short(value: Any) -> str:
    if isinstance(value, dict):
        # Its own words in a row would hide which of them is meant.
        return f"the keys {short_list(list(map(str, value)))}" if value else "no keys"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _cross_checks(plan: Plan) -> list[tuple[KeyPath, str]]:
    """Names in one part of the plan that must exist in another."""
    problems: list[tuple[KeyPath, str]] = []
    names = list(plan.pipelines)

    def check_pipeline(at: KeyPath, name: str | None) -> None:
        if name is not None and name not in plan.pipelines:
            problems.append(
                (at, f"no pipeline is called {name!r}{did_you_mean(name, names)}; pipelines are {', '.join(names)}")
            )

    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
            problems.append((("pipelines", name), "expected a name of at most 64 letters, digits, '.', '_' and '-'"))
    if plan.measure.timeout <= plan.measure.max_time:
        problems.append(
            (("measure", "timeout"), "expected more than max_time: a cell also loads, warms up and collects results")
        )
    m = plan.matrix
    matrix: dict[str, list[Any]] = {"backend": m.backend_names, "precision": m.precisions, "batch": m.batch_sizes}
    matrix["threads"] = m.threads
    if plan.parity:
        reference = plan.parity.reference
        check_pipeline(("parity", "reference", "pipeline"), reference.pipeline)
        for key, values in matrix.items():
            given = getattr(reference, key)
            if given is not None and given not in values:
                problems.append(
                    (("parity", "reference", key), f"{given} is not in the matrix, which has {_words(values)}")
                )
    if plan.regression:
        check_pipeline(("regression", "against"), plan.regression.against)
        if len(names) == 1:
            problems.append((("regression",), "a comparison needs a second pipeline; add one with 'extends'"))
    for i, budget in enumerate(plan.budgets):
        for name in budget.where.pipeline or []:
            check_pipeline(("budgets", i, "where", "pipeline"), name)
        for key, values in matrix.items():
            for given in getattr(budget.where, key) or []:
                if given not in values:
                    problems.append(
                        (("budgets", i, "where", key), f"no cell has {key} {given}; the matrix has {_words(values)}")
                    )
        relative = budget.metric.endswith("_drop") or budget.metric == "agreement"
        if relative and plan.parity is None:
            problems.append(
                (("budgets", i, "metric"), f"'{budget.metric}' needs a 'parity' section: it names the reference")
            )
        if why := unfit(plan, budget):
            problems.append((("budgets", i, "metric"), why))
        against_truth = budget.metric.endswith("_drop") or budget.metric in ("accuracy", "abs_rel", "rmse")
        if against_truth and plan.images.annotations is None:
            problems.append(
                (("budgets", i, "metric"), f"'{budget.metric}' needs ground truth: give images.annotations")
            )
    return problems


def _words(values: list[Any]) -> str:
    return short_list([str(v) for v in values], 20)
