"""All mutations of a way, but those that are fitted to the candidate (fits.py). Not for: any of them."""

from __future__ import annotations

from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.mutations.color import color_mutations
from seatrial.diagnosis.mutations.decode import decode_mutations
from seatrial.diagnosis.mutations.memory import memory_mutations
from seatrial.diagnosis.mutations.model import model_mutations
from seatrial.diagnosis.mutations.padding import padding_mutations
from seatrial.diagnosis.mutations.places import place_mutations
from seatrial.diagnosis.mutations.reduced import reduced_mutations
from seatrial.diagnosis.mutations.results import result_mutations
from seatrial.diagnosis.mutations.samples import sample_mutations
from seatrial.diagnosis.mutations.values import value_mutations
from seatrial.diagnosis.way import Way

# The most frequent mistakes first: behind one that is exact the others cost less.
FAMILIES = (
    value_mutations,
    result_mutations,
    place_mutations,
    padding_mutations,
    sample_mutations,
    decode_mutations,
    reduced_mutations,
    memory_mutations,
    model_mutations,
    color_mutations,
)


def mutations_of(way: Way) -> list[Mutation]:
    return [m for family in FAMILIES for m in family(way)]
