"""Repair over the packaged catalogue: misspelled names come back, what it recommends is valid, it is fast."""

import random
import time

from repair_edits import edited

from retrieval.calls.compose import api_for
from retrieval.calls.repair import repair
from retrieval.catalogue import Catalogue
from retrieval.records.api import Instruction


def test_98_of_100_misspelled_names_of_the_starter_come_back() -> None:
    starter, rng = Catalogue.starter(), random.Random(0)
    outcomes = [
        repair(edited(record.model, rng.randint(1, 3), rng), starter).api.model_id == record.model_id
        for record in starter
        if record.available
    ]
    assert sum(outcomes) >= 0.98 * len(outcomes)


def test_what_the_starter_recommends_is_valid_or_repaired_once() -> None:
    starter = Catalogue.starter()
    for record in starter:
        first = repair(api_for(record, Instruction(prompt="a castle")), starter)
        assert repair(first.api, starter).changes == ()


def test_a_thousand_names_take_less_than_50_ms() -> None:
    starter = Catalogue.starter()
    repair("Warm Up", starter)
    names = [
        "Dreem Shapper",
        "UltraDreamShaper XL Turbo Max",
        "古风 GuFang",
        ">_>",
        "Lunar Difusion v3.safetensors",
    ]
    begun = time.process_time()
    for name in names:
        repair(name, starter)
    assert (time.process_time() - begun) / len(names) < 0.05
