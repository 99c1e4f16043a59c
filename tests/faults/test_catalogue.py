"""Each known mistake is told of in full, by the name that stays."""

import re

import faults_page
import pytest

from seatrial.diagnosis.stages import ORDER
from seatrial.faults.before import DECODING, PLACES, VALUES
from seatrial.faults.behind import RESULTS, RUNTIME
from seatrial.faults.catalogue import FAULTS
from seatrial.faults.names import NAMES
from seatrial.plan.pipelines import Decode, Postprocess, Preprocess

SECTIONS = {"decode": Decode, "preprocess": Preprocess, "postprocess": Postprocess}


def test_every_name_has_an_entry_and_every_entry_a_name():
    told = [f.name for f in (*DECODING, *PLACES, *VALUES, *RUNTIME, *RESULTS)]
    assert len(told) == len(set(told))
    assert set(told) == set(NAMES)
    assert tuple(FAULTS) == NAMES
    assert all(FAULTS[name].name == name for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_says_all_of_it(name):
    fault = FAULTS[name]
    assert fault.stage in ORDER
    for said in (fault.is_, fault.shows, fault.cure):
        assert re.fullmatch(r"[^\s].{20,}\.", said, re.S)
        assert "  " not in said
    assert fault.title
    assert fault.telling
    assert not fault.title.endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_keys_that_a_cure_names_are_the_plans(name):
    for section, key in re.findall(r"\b(decode|preprocess|postprocess)\.(\w+)", FAULTS[name].cure):
        assert key in SECTIONS[section].model_fields


def test_the_page_is_the_catalogue():
    """python tools/faults_page.py writes it anew."""
    assert faults_page.PAGE.read_text("utf-8") == faults_page.page()
