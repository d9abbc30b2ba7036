"""Models of other things: among a handful of castles alone, the word "castle" would say nothing."""

from retrieval.records.model import ModelRecord

_NAMES = (
    *("Amber Trees", "Rainy Streets", "Copper Robots", "Velvet Birds", "Sandy Ships", "Misty Trains"),
    *("Golden Bread", "Paper Foxes", "Quiet Gardens", "Silver Bells", "Painted Horses", "Winter Markets"),
    *("Humming Wires", "Cotton Clouds", "Rusty Engines", "Lazy Rivers", "Tin Soldiers", "Salted Fish"),
    *("Wooden Spoons", "Broken Clocks", "Loud Drums", "Distant Moons", "Folded Maps", "Spotted Frogs"),
)


def bystanders(first_id: int) -> list[ModelRecord]:
    """Twenty-four checkpoints of SD 1.5, numbered from `first_id`."""
    return [
        ModelRecord(
            model_id=number,
            model=name,
            type="Checkpoint",
            base_model="SD 1.5",
            description=f"{name.split()[1]} in {name.split()[0].lower()} light.",
        )
        for number, name in enumerate(_NAMES, start=first_id)
    ]
