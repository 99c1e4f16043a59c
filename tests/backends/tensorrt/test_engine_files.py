"""An engine as a file: whole or not at all, and read back with suspicion."""

import errno
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from simulated_tensorrt import VERSIONS

from seatrial.backends import OpenOptions, open_backend
from seatrial.backends.tensorrt import engine_files
from seatrial.backends.tensorrt.cache import build_and_keep, engine_path, found_engine
from seatrial.backends.tensorrt.driver import Device
from seatrial.backends.tensorrt.engine_files import Manifest, manifest_of, manifest_path, read_engine, write_engine
from seatrial.backends.tensorrt.library import import_library
from seatrial.backends.tensorrt.options import EngineOptions
from seatrial.backends.tensorrt.profiles import Profile
from seatrial.errors import BackendUnavailableError, ModelError, ResultsError
from seatrial.model.file import inspect_model

L4 = Device("NVIDIA L4", "sm89", 24 << 30, (13, 0))
SHAPES = {"x": (2, 3, 6, 6), "scale": (1,)}
RTX, ELEVEN, TEN = VERSIONS[2], VERSIONS[1], VERSIONS[0]
T4, A10 = replace(L4, name="NVIDIA T4", capability="sm75"), replace(L4, name="NVIDIA A10", capability="sm86")


@pytest.fixture
def kept(bench, cnn):
    """Builds an engine into the cache, and gives its path with what it was built by and of."""

    def build(label=RTX, capabilities=("sm89",), device=L4, profiles=(Profile.exactly(SHAPES),), **options):
        bench.install(label)
        library, model = import_library(bench.name), inspect_model(cnn)
        own = EngineOptions(capabilities if library.rtx else (), **options)
        path, _, manifest = build_and_keep(library, model, profiles, own, device)
        return path, library, model, manifest

    return build


def test_an_engine_and_its_manifest_come_back(kept):
    path, library, model, manifest = kept()
    data, read = read_engine(path, library, model, L4, allowed=False)
    assert read == manifest == manifest_of(path)
    assert (len(data), manifest.model, manifest.version) == (manifest.size_bytes, "cnn.onnx", "1.7.1.116")
    assert [str(p) for p in manifest.profiles] == ["x 2x3x6x6, scale 1"]
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name, f"{path.name}.json"]


def test_a_changed_engine_is_refused_by_name(kept):
    path, library, model, _ = kept()
    for changed in (path.read_bytes()[:-1], path.read_bytes() + b" ", b""):
        path.write_bytes(changed)
        with pytest.raises(ModelError, match=rf"{path.name}: refused: .* changed or cut short since; build it again"):
            read_engine(path, library, model, L4, allowed=True)


@pytest.mark.parametrize("text", [None, "", "{}", "[1]", '{"schema": "seatrial.engine/9"}', '{"schema": "seatrial.engine/1", "digest": 1}'])  # fmt: skip
def test_an_engine_that_we_did_not_write_is_refused_unless_allowed(kept, text):
    path, library, model, _ = kept()
    manifest_path(path).unlink()
    if text is not None:
        manifest_path(path).write_text(text)
    with pytest.raises(ModelError, match="refused: an engine is code, and this one has no manifest of seatrial's"):
        read_engine(path, library, model, L4, allowed=False)
    assert read_engine(path, library, model, L4, allowed=True) == (path.read_bytes(), None)


@pytest.mark.parametrize(
    ("label", "changes", "error", "said"),
    [
        (RTX, {"model_digest": "sha256:0"}, ModelError, "of another model than .*cnn.onnx: it was built from cnn.onnx"),
        (RTX, {"version": "1.6.0"}, BackendUnavailableError, "stale: it was built by tensorrt-rtx 1.6.0, and this is tensorrt-rtx 1.7"),
        (RTX, {"library": "tensorrt"}, BackendUnavailableError, "built by tensorrt 1.7.1.116, and this is tensorrt-rtx"),
        (RTX, {"capabilities": ("sm86", "sm120")}, BackendUnavailableError, "built for sm86, sm120, and NVIDIA L4 is sm89"),
        (ELEVEN, {"device": "NVIDIA H200"}, BackendUnavailableError, "built on NVIDIA H200, and this is NVIDIA L4"),
    ],
)  # fmt: skip
def test_a_stale_engine_says_what_it_is_of(kept, label, changes, error, said):
    path, library, model, manifest = kept(label)
    write_engine(path, path.read_bytes(), replace(manifest, **changes), "")
    with pytest.raises(error, match=said):
        read_engine(path, library, model, L4, allowed=True)


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({"version": "10.1"}, {"version_compatible": True}),
        ({"device": "another", "capabilities": ("sm80",)}, {"hardware_compatibility": "ampere_plus"}),
        ({"device": "another"}, {"hardware_compatibility": "same_capability"}),
    ],
)
def test_what_was_built_to_be_carried_is_taken(kept, changes, options):
    path, library, model, manifest = kept(ELEVEN, **options)
    write_engine(path, path.read_bytes(), replace(manifest, **changes), "")
    assert read_engine(path, library, model, L4, allowed=False)[1] is not None


@pytest.mark.parametrize(
    ("device", "changes", "options", "said"),
    [
        (L4, {"version": "11.10.0"}, {"version_compatible": True}, "is tensorrt 11.4.0.106: version_compatible is for later"),
        (T4, {}, {"hardware_compatibility": "ampere_plus"}, r"built for sm80 and later \(ampere_plus\), and NVIDIA T4 is sm75"),
        (T4, {}, {"hardware_compatibility": "same_capability"}, "built for sm89, and NVIDIA T4 is sm75"),
        (A10, {}, {"hardware_compatibility": "same_capability"}, "built for sm89, and NVIDIA A10 is sm86"),
    ],
)  # fmt: skip
def test_what_was_built_to_be_carried_is_not_carried_further(kept, device, changes, options, said):
    path, library, model, manifest = kept(ELEVEN, **options)
    write_engine(path, path.read_bytes(), replace(manifest, **changes), "")
    with pytest.raises(BackendUnavailableError, match=said):
        read_engine(path, library, model, device, allowed=True)
    assert found_engine(library, model, SHAPES, EngineOptions(**options), device) is None


@pytest.mark.parametrize(("first", "second"), [(TEN, ELEVEN), (ELEVEN, TEN)])
def test_another_versions_engine_is_not_measured_under_this_ones_name(bench, cnn, first, second):
    options = OpenOptions(input_shapes=SHAPES, settings={"version_compatible": True})
    for label in (first, second):
        bench.install(label)
        with open_backend("tensorrt", cnn, options) as backend:
            details = backend.details()
        assert "built now" in details["engine"]
        assert details["engine_build"].endswith(f"for sm89 on NVIDIA L4, by tensorrt {label.split()[1]}")


def test_a_damaged_engine_in_the_cache_is_built_again_and_that_is_said(bench, cnn, tmp_path):
    """The digest is checked before a byte of it is loaded; it is for an engine that a plan names that it is refused."""
    bench.install(ELEVEN)
    options = OpenOptions(input_shapes=SHAPES)
    open_backend("tensorrt", cnn, options).close()
    path = next((tmp_path / "cache").rglob("*.engine"))
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ModelError, match="changed or cut short since"):
        open_backend("tensorrt", cnn, replace(options, settings={"engine": str(path)}))
    with open_backend("tensorrt", cnn, options) as backend:
        assert f"built now: what the cache had as {path.name} was changed or cut short" in backend.details()["engine"]
    with open_backend("tensorrt", cnn, options) as backend:
        assert "from the cache" in backend.details()["engine"]


def test_two_that_write_the_same_engine_leave_one_that_fits_its_manifest(kept, monkeypatch):
    path, library, model, manifest = kept()
    data = path.read_bytes() + b" "
    other = replace(manifest, digest=engine_files.digest_of(data), size_bytes=len(data))
    begun = threading.Thread(target=write_engine, args=(path, data, other, ""))
    real = Path.replace

    def meanwhile(self, target):
        done = real(self, target)
        if not begun.ident and str(target).endswith(".engine"):
            # As another process that was at it too: its temporary names are its own.
            monkeypatch.setattr(os, "getpid", lambda: 4242)
            begun.start()
            begun.join(0.5)
        return done

    monkeypatch.setattr(Path, "replace", meanwhile)
    write_engine(path, path.read_bytes(), manifest, "")
    begun.join()
    assert read_engine(path, library, model, L4, allowed=False)[1] == other


def test_the_key_has_everything_that_an_engine_depends_on(kept, cnn, tmp_path, bench):
    _, library, model, _ = kept()
    one = [Profile.exactly(SHAPES)]
    own = EngineOptions(("sm89",))
    paths = {
        engine_path(library, model, one, own, None),
        engine_path(library, model, one, replace(own, capabilities=("sm89", "sm120")), None),
        engine_path(library, model, one, replace(own, tf32=True), None),
        engine_path(library, model, [*one, *one], own, None),
        engine_path(replace(library, version="1.7.2"), model, one, own, None),
        engine_path(library, replace(model, digest="sha256:" + "1" * 64), one, own, None),
        engine_path(replace(library, name="tensorrt"), model, one, own, L4),
        engine_path(replace(library, name="tensorrt"), model, one, own, replace(L4, name="NVIDIA L40S")),
    }
    assert len(paths) == 8


def test_an_engine_that_was_built_ahead_serves_the_cells_that_it_fits(kept):
    """More capabilities and more profiles than a cell needs; the narrowest of those that fit."""
    two = (Profile.exactly(SHAPES), Profile.exactly({**SHAPES, "x": (8, 3, 6, 6)}))
    wide, library, model, _ = kept(capabilities=("sm89", "sm120"), profiles=two)
    for shapes in (SHAPES, {**SHAPES, "x": (8, 3, 6, 6)}):
        assert found_engine(library, model, shapes, EngineOptions(), L4) == wide
    assert found_engine(library, model, {**SHAPES, "x": (4, 3, 6, 6)}, EngineOptions(), L4) is None
    assert found_engine(library, model, SHAPES, EngineOptions(tf32=True), L4) is None
    assert found_engine(library, model, SHAPES, EngineOptions(), replace(L4, capability="sm86")) is None
    narrow, *_ = kept()
    assert found_engine(library, model, SHAPES, EngineOptions(), L4) == narrow


def test_a_folder_that_cannot_be_written_is_told_before_the_build(bench, cnn, tmp_path):
    bench.install(RTX)
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match=r"file: engines cannot be written there: .*; name another"):
        build_and_keep(
            import_library("tensorrt-rtx"), inspect_model(cnn), [Profile.exactly(SHAPES)], EngineOptions(("sm89",)), None,
            path=tmp_path / "file" / "a.engine", cure="name another",
        )  # fmt: skip
    assert "Builder.build_serialized_network" not in bench.trt.calls


def test_a_full_disk_leaves_nothing_half_written_and_what_was_there(kept, monkeypatch):
    path, _, _, manifest = kept()
    before = path.read_bytes()

    def full(self, data):
        with open(self, "wb") as stream:
            stream.write(data[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(
        ResultsError, match=rf"{path.name}: engines cannot be written there: No space left on device; make room"
    ):
        write_engine(path, b"another", manifest, "cure")
    assert path.read_bytes() == before
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name, f"{path.name}.json"]


def test_a_build_that_ends_in_between_leaves_an_engine_that_is_refused(kept, monkeypatch):
    """The engine goes first: with the old manifest, or without one, it is not mistaken for sound."""
    path, library, model, manifest = kept()
    real = Path.replace

    def once(self, target):
        if str(target).endswith(".json"):
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", once)
    with pytest.raises(KeyboardInterrupt):
        write_engine(path, b"newer", replace(manifest, digest=engine_files.digest_of(b"newer")), "")
    with pytest.raises(ModelError, match="not the one that its manifest was written for"):
        read_engine(path, library, model, L4, allowed=False)
    assert not list(path.parent.glob(".*"))


def test_the_manifest_is_plain_json_that_a_deployment_can_read(kept):
    path, *_ = kept()
    said = json.loads(manifest_path(path).read_text())
    assert said["schema"] == "seatrial.engine/1"
    assert said["profiles"] == [{"x": [[2, 3, 6, 6]] * 3, "scale": [[1]] * 3}]
    assert said["options"]["tf32"] is False
    assert set(said) == {"schema", *Manifest.__dataclass_fields__}
