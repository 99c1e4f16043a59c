"""The published JSON Schemas: schemas themselves, and true of what is written."""

import json

import jsonschema
import pytest
from parity_records import RECORDS

from seatrial.cli.schema import schema_of


@pytest.mark.parametrize("of", ["plan", "parity", "record", "taps"])
def test_each_is_a_schema(of):
    jsonschema.Draft202012Validator.check_schema(schema_of(of))


@pytest.mark.parametrize("name", RECORDS)
def test_a_parity_is_as_its_schema_says(name):
    data = json.loads(RECORDS[name].json_bytes())
    jsonschema.validate(data, schema_of("parity"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data | {"verdict": "perhaps"}, schema_of("parity"))


def test_the_command_prints_it(seatrial_cli):
    done = seatrial_cli("schema", "parity")
    assert (done.returncode, done.stderr) == (0, "")
    printed = json.loads(done.stdout)
    assert printed["$schema"].endswith("2020-12/schema")
    assert {"ParityRecord", "ModelsParity"} <= set(printed["$defs"])
    done = seatrial_cli("schema", "models")
    assert done.returncode != 0
    assert "parity" in done.stderr
