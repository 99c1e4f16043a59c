"""Which files of a folder are images of the trial, what is said about the rest, and images that stand twice."""

import os
import shutil

import pytest
import yaml
from PIL import Image

from seatrial.errors import DataError
from seatrial.images.files import find_images
from seatrial.plan.load import load_plan
from seatrial.warning import Warning


@pytest.fixture
def folder(tmp_path):
    """photos/a.png and a plan beside it."""
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "photos" / "a.png")
    return tmp_path


def find(folder, path="photos", **images):
    plan = {
        "version": 1,
        "images": {"path": path, **images},
        "pipelines": {
            "p": {
                "model": "m.onnx",
                "preprocess": {"size": [4, 4]},
                "postprocess": {"task": "classify", "labels": "photos/l.txt"},
            }
        },
    }
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    found, told = find_images(load_plan(folder / "plan.yaml"))
    return [i.name for i in found], told


def test_every_suffix_that_is_read_is_found(folder):
    names = [
        f"x{i}{s}" for i, s in enumerate((".jfif", ".JPE", ".gif", ".avif", ".jp2", ".ppm", ".pgm", ".webp", ".TIFF"))
    ]
    for name in names:
        shutil.copy(folder / "photos" / "a.png", folder / "photos" / name)
    assert find(folder) == (["a.png", *names], [])


# Files beside a.png; then what is said.
BESIDE = [
    ([], []),
    (["b.heic"], ["1 file in photos/ left out, being no images that are read: b.heic"]),
    (
        [f"{c}.txt" for c in "bcdefgh"],
        ["7 files in photos/ left out, being no images that are read: b.txt, c.txt, d.txt,"],
    ),
    (["sub/b.dng"], ["1 file in photos/ left out, being no images that are read: sub/b.dng"]),
    ([".b.png", ".cache/c.jpg", ".DS_Store"], ["2 images in photos/ left out, being hidden: .b.png, .cache/c.jpg"]),
    # what the plan names is no file left out
    (["t.json", "tags.csv", "l.txt"], []),
]


@pytest.mark.parametrize(("beside", "said"), BESIDE, ids=range(len(BESIDE)))
def test_files_left_out_are_counted_and_named(folder, beside, said):
    for name in beside:
        (folder / "photos" / name).parent.mkdir(exist_ok=True)
        (folder / "photos" / name).write_bytes(b"x")
    names, told = find(folder, annotations="photos/t.json", tags="photos/tags.csv")
    assert names == ["a.png"]
    assert len(told) == len(said)
    for line, words in zip(told, said, strict=True):
        assert words in str(line)


def test_links_that_lead_nowhere_or_to_folders_are_named(folder):
    (folder / "more").mkdir()
    os.symlink(folder / "gone.png", folder / "photos" / "b.png")
    os.symlink(folder / "more", folder / "photos" / "c")
    said = "2 links in photos/ left out, leading nowhere or to a folder: b.png, c"
    assert find(folder) == (["a.png"], [Warning("links", said)])


def test_a_folder_without_images_says_what_it_has(folder):
    (folder / "photos" / "a.png").rename(folder / "photos" / "a.heic")
    with pytest.raises(
        DataError, match=r"no images in this folder; expected files ending in \.jpg.*got 1 other file: a\.heic"
    ):
        find(folder)


def test_one_file_twice_is_refused_by_name(folder):
    (folder / "photos" / "sub").mkdir()
    twice = (
        ["photos/a.png", "photos/a.png"],
        ["photos/a.png", "photos/sub/../a.png"],
        ["photos/a.png", "./photos/a.png"],
    )
    for path in twice:
        with pytest.raises(
            DataError, match=r"photos/a\.png (stands there twice|and .*a\.png are one file); leave one out"
        ):
            find(folder, list(path))
    for link in (os.symlink, os.link):
        link(folder / "photos" / "a.png", folder / "photos" / "b.png")
        with pytest.raises(DataError, match=r"a\.png and b\.png are one file; leave one out"):
            find(folder)
        (folder / "photos" / "b.png").unlink()
    # A copy is an image of its own.
    shutil.copy(folder / "photos" / "a.png", folder / "photos" / "b.png")
    assert find(folder)[0] == ["a.png", "b.png"]
