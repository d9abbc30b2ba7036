"""Do misspelled names come back to their own model, and are invented ones told apart? Calibrates repair.

    python benchmarks/repair_edits.py                 # edited names by length; invented names
    python benchmarks/repair_edits.py --sweep         # other thresholds of retrieval/catalogue/spelling.py
    python benchmarks/repair_edits.py --meaning       # those of retrieval/calls/meaning.py; takes a minute
    python benchmarks/repair_edits.py --names 100000  # milliseconds a repair over so many made-up names

An edit inserts, deletes or substitutes a sign (letters, digits, space) or swaps two neighbours, anywhere in
the name. No name is left out: three edits leave nothing of a name of three signs, and that counts as a miss.
"""

import argparse
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from diffagent_tools.exits import run_script
from retrieval.calls.repair import repair
from retrieval.catalogue import Catalogue, spelling
from retrieval.catalogue.spelling import SpellingIndex
from retrieval.records.model import ModelRecord

SIGNS = "abcdefghijklmnopqrstuvwxyz0123456789 "
LENGTHS = ((1, 3), (4, 5), (6, 7), (8, 10), (11, 20), (21, 1000))
_INVENTED = """\
UltraDreamShaper XL Turbo Max|PixelWave|RealisticFantasyMix v9|HyperReal Cinema Pro|NeonSamurai XL
Whisper of Autumn|LunarInk Diffusion|ClayToon Forge|Velvet Noir Portraits|OceanGlass v2|Aetherial Bloom
MechWarrior Hangar|StoryLantern|Moonlit Caravan Mix|GraniteFace Photoreal|Tiny Planet Maker
Origami World LoRA|Copperplate Engraver|StainedGlass Saints|Sushi Photography Helper|FoggyHarbor
QuantumBrush v4|Soft Pastel Dreams|RetroArcade Cabinet|UrbanSketch Pen|Baroque Interiors|PaperCut Theatre
Glacier Light|CosmicJelly|Kaleido Anime Blend|Sunbaked Adobe|Midnight Ramen|Woodland Sprites
TitanForge XXL|VaporDrive 84|Botanical Plate Studio|CandyPop 3D|MarbleMuse|HarborTown Matte Painting
InkPanther|SilkRoad Costumes|FelineFantasia|StormChaser Skies|Velocity GT Concept Cars|ChromaKnight
DesertBloom Photography|Gingerbread Architecture|NordicTale|PorcelainDoll Maker|Zephyr v3.1|Kintsugi|Hexa
Orbis Mix|Lumen|青瓷山水|夜雨江南 RainyJiangnan|星の庭園|Мастер Света|달빛정원 MoonGarden
super awesome model|the best anime checkpoint|stable-diffusion-ultra-8k|my_final_model_v12.safetensors
EpicPhotoGasmic Ultra|AnimeMasterpiece XL|GigaDiffusion 7B|CinematicRealism-v5|DarkFantasyArt
WatercolorMagic|Cartoon3DStyle|FilmGrain|Oil Painting Pro|Logo Designer|ArtStation Hero
Photon Ultra Realistic|Cyber City 2099|Vintage Polaroid|GhibliLand|Realistic Vision Ultra Plus
AnythingForever
"""
_REQUESTS = """\
a lighthouse in a storm, oil painting, dramatic clouds
portrait of an old fisherman, 35mm photograph, film grain|pixel art corgi in a spacesuit
cozy reading nook, interior design, warm light|anime girl under cherry blossoms, detailed
a dragon over a burning castle, dark fantasy, concept art|cute isometric tiny house, 3d render
flat vector app icon of a fox|neon city at night, cyberpunk, rain|watercolor of a mountain lake at dawn
gothic cathedral interior, volumetric light|studio ghibli like meadow with clouds
mecha standing in a hangar, highly detailed|retro poster of a rocket, 1950s
a bowl of ramen, food photography, shallow depth of field
children's book illustration of a bear with a balloon|chinese ink painting of bamboo and cranes
steampunk airship above the clouds|modern villa by the sea, architectural render|low poly forest scene
stained glass window of a peacock|abandoned spaceship corridor, cinematic|pencil sketch of a cat
art nouveau woman with flowers, poster|vaporwave sunset with palm trees
sticker of a happy avocado, white background|a knight in ornate armor, fantasy portrait
underwater photo of a coral reef|clay animation snowman|product shot of a watch
a red panda wearing a hanfu|postapocalyptic street overgrown with plants|marble statue of a dancer
sports car on a wet road|old map of an island, parchment|comic book hero landing in a city
fashion editorial, avant-garde dress|snowy village at night|viking warrior, tattoos, braided hair
bioluminescent jungle, fantasy landscape
"""
_NO_REQUESTS = """\
TypeError: 'NoneType' object is not subscriptable|SELECT id FROM users WHERE age > 30
the quarterly tax return is due|import numpy as np|please reset my password|https://example.org/a/b?c=d
12345|null|undefined|N/A|git rebase --continue|the contract shall be governed by the laws of the state
how do I install pip on windows|invoice number 4431 overdue|the mitochondria is the powerhouse of the cell
vote count by district 2020|sudo apt-get update|as discussed on the phone
patient presents with acute abdominal pain|interest rate swap valuation|lorem ipsum dolor sit amet
consectetur adipiscing|sed do eiusmod tempor|ut labore et dolore magna|qzxv|wcvwezlnbtomo|glkp trsq
toagjdyujrt|xazonv|hrmpf|asdfasdf|zcgxh|meeting moved to tuesday at nine|the train is eleven minutes late
annual general meeting minutes|uninstall the driver|error 404 not found|terms and conditions apply
your parcel could not be delivered|return the signed form
"""
INVENTED, REQUESTS, NO_REQUESTS = (
    text.strip().replace("\n", "|").split("|") for text in (_INVENTED, _REQUESTS, _NO_REQUESTS)
)


def edited(name: str, count: int, rng: random.Random) -> str:
    """`count` random edits of a name, one after the other."""
    signs = list(name)
    for _ in range(count):
        kind = rng.choice("idst") if len(signs) > 1 else rng.choice("is")
        at = rng.randrange(len(signs)) if signs else 0
        if kind == "i" or not signs:
            signs.insert(rng.randint(0, len(signs)), rng.choice(SIGNS))
        elif kind == "d":
            del signs[at]
        elif kind == "s":
            signs[at] = rng.choice(SIGNS)
        else:
            at = rng.randrange(len(signs) - 1)
            signs[at], signs[at + 1] = signs[at + 1], signs[at]
    return "".join(signs)


def edits(catalogue: Catalogue, rounds: int, seed: int) -> Iterator[tuple[ModelRecord, int, str]]:
    """Every name that can be had, with 1, 2 and 3 edits, `rounds` times."""
    rng = random.Random(seed)
    for _ in range(rounds):
        for record in catalogue:
            if record.available:
                for count in (1, 2, 3):
                    yield record, count, edited(record.model, count, rng)


def report_edits(catalogue: Catalogue, rounds: int, seed: int) -> None:
    outcomes: list[tuple[int, int, bool, bool]] = []
    begun = time.perf_counter()
    for record, count, name in edits(catalogue, rounds, seed):
        result = repair(name, catalogue)
        outcomes.append((count, len(record.model), result.api.model_id == record.model_id, result.abstained))
    each = (time.perf_counter() - begun) / len(outcomes)
    print(f"{len(outcomes):,} edited names of {len(catalogue):,} models, {1000 * each:.2f} ms each")
    print(f"back to their own model: {share([own for *_, own, _ in outcomes])}")
    for count in (1, 2, 3):
        print(f"  {count} edits: {share([own for number, _, own, _ in outcomes if number == count])}")
    for low, high in LENGTHS:
        row = [
            share([own for number, length, own, _ in outcomes if number == count and low <= length <= high])
            for count in (1, 2, 3)
        ]
        print(f"  {low:>2} to {high:<4} signs, 1/2/3 edits: {'  '.join(row)}")
    print(f"abstained: {share([abstained for *_, abstained in outcomes])}")


def report_invented(catalogue: Catalogue) -> None:
    taken = [(name, guess) for name in INVENTED if (guess := catalogue.spelling.best(name)) is not None]
    print(f"invented names taken for a misspelling: {len(taken)} of {len(INVENTED)}")
    for name, guess in taken:
        print(
            f"  {name!r} for {catalogue.get(guess.model_id).model!r} "
            f"({guess.similarity:.2f}, {guess.edits} edits)"
        )


def sweep(catalogue: Catalogue, seed: int) -> None:
    index = SpellingIndex(catalogue.names())
    sample = [(record.model_id, name) for record, _, name in edits(catalogue, 1, seed)]
    for most, least in [(most, least) for most in (2, 3, 4) for least in (0.5, 0.55, 0.6, 0.7)]:
        spelling.MAX_EDITS, spelling.MIN_SIMILARITY = most, least  # what Spelling.accepted compares with
        own = [
            (guess := index.best(name)) is not None and guess.model_id == model_id
            for model_id, name in sample
        ]
        taken = sum(index.best(name) is not None for name in INVENTED)
        print(f"at most {most} edits, similarity {least}: own {share(own)}, invented taken {taken}")


def report_meaning(catalogue: Catalogue) -> None:
    """How near the best model is to requests, to invented names and to what asks for no image."""
    from retrieval.calls.meaning import shared_words
    from retrieval.records.api import Instruction
    from retrieval.search.ranker import Ranker

    ranker = Ranker.packaged(catalogue)
    for title, texts in (("requests", REQUESTS), ("invented names", INVENTED), ("no requests", NO_REQUESTS)):
        both = sorted(
            float((scores["retriever.facts"] + scores["all.cosine"]).max())
            for scores in (ranker.scores(Instruction(prompt=text)) for text in texts)
        )
        alone = sorted(float(shared_words(text, catalogue).max()) for text in texts)
        print(f"{title} ({len(texts)})")
        for kind, values, limits in (
            ("both", both, (0.4, 0.44, 0.48, 0.52)),
            ("words", alone, (0.1, 0.12, 0.15)),
        ):
            passing = ", ".join(
                f">={limit}: {share([value >= limit for value in values])}" for limit in limits
            )
            print(
                f"  {kind}: 5% {at(values, 0.05):.2f}, half {at(values, 0.5):.2f}, "
                f"95% {at(values, 0.95):.2f}; {passing}"
            )


def report_speed(count: int, seed: int) -> None:
    rng = random.Random(seed)
    starter = [record.model for record in Catalogue.starter()]
    names = [f"{rng.choice(starter)} {edited(rng.choice(starter), 3, rng)}" for _ in range(count)]
    catalogue = Catalogue(
        ModelRecord(model_id=i, model=name, type="Checkpoint", base_model="SD 1.5")
        for i, name in enumerate(names, start=1)
        if name.strip()
    )
    asked = [edited(rng.choice(names), 2, rng) for _ in range(10)] + INVENTED[:10]
    for when in ("first, with the indexes", "then"):
        begun = time.perf_counter()
        for name in asked[:1] if when.startswith("first") else asked:
            repair(name, catalogue)
        each = (time.perf_counter() - begun) / (1 if when.startswith("first") else len(asked))
        print(f"{len(catalogue):,} names, {when}: {1000 * each:,.0f} ms a repair")


def share(values: Sequence[bool]) -> str:
    return f"{100 * sum(values) / max(len(values), 1):.2f}% of {len(values):,}"


def at(ordered: Sequence[float], quantile: float) -> float:
    return ordered[round(quantile * (len(ordered) - 1))]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--catalogue", type=Path, help="a .jsonl or .jsonl.gz file; the starter if not given")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--meaning", action="store_true")
    parser.add_argument("--names", type=int, default=0)
    args = parser.parse_args()
    catalogue = Catalogue.load(args.catalogue) if args.catalogue else Catalogue.starter()
    if args.sweep:
        sweep(catalogue, args.seed)
    elif args.meaning:
        report_meaning(catalogue)
    elif args.names:
        report_speed(args.names, args.seed)
    else:
        report_edits(catalogue, args.rounds, args.seed)
        report_invented(catalogue)


if __name__ == "__main__":
    run_script(main)
