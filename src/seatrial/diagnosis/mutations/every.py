"""All mutations of a way. Not for: any of them."""

from __future__ import annotations

from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.mutations.decode import decode_mutations
from seatrial.diagnosis.mutations.model import model_mutations
from seatrial.diagnosis.mutations.places import place_mutations
from seatrial.diagnosis.mutations.results import result_mutations
from seatrial.diagnosis.mutations.values import value_mutations
from seatrial.diagnosis.way import Way


def mutations_of(way: Way) -> list[Mutation]:
    families = (decode_mutations, place_mutations, value_mutations, model_mutations, result_mutations)
    return [m for family in families for m in family(way)]
