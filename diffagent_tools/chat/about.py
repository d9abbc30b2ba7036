"""Answers to what people ask: about DiffAgent, the chosen model, its files, and the words of the field.

    answer("lora", state_best, others, catalogue)

The topics are those of diffagent_tools/chat/words/questions.py. What is said of a model is what its record
says; nothing is looked up elsewhere.
"""

from collections.abc import Callable, Sequence

from diffagent_tools.chat.differences import difference, named, popularity
from diffagent_tools.files.downloads import FOLDERS, USUAL_SIZES
from diffagent_tools.quoting import NAME_CHARS, plain, quoted
from diffagent_tools.select.selection import Selection
from retrieval.catalogue import Catalogue
from retrieval.records.api import T2IApi

NOTHING_YET = "Nothing is chosen yet. Say what the picture should show, such as: a happy corgi, pixel art."
_PROMPT_CHARS = 1_500
_TEXTS = {
    "self": (
        "Tell me what picture you want, and I name the Stable Diffusion model to make it with, and its "
        "settings. Then change anything in plain words: make it wide, more like a watercolour, another one, "
        "no people, only models I may sell. I choose the model; a program such as A1111, Forge or ComfyUI "
        "makes the picture."
    ),
    "lora": (
        "A LoRA is a small file, usually 10 to 300 MB, that teaches a big model one new thing: a style, an "
        "object, a look. It does not work alone. You load it together with a checkpoint, at a weight such as "
        "0.8."
    ),
    "checkpoint": (
        "A checkpoint is a complete image model, usually 2 to 7 GB. It makes pictures by itself, and LoRAs "
        "are loaded on top of it."
    ),
    "lora or checkpoint": (
        "A checkpoint is a complete model of 2 to 7 GB. A LoRA is a small addition that teaches it a style "
        "or a subject. Say “only checkpoints” or “only LoRAs” to see one kind."
    ),
    "sampler": (
        "The sampler is the recipe that turns noise into a picture. Euler a and DPM++ 2M Karras are good "
        "everyday choices. I suggest the one that this model's own examples used most."
    ),
    "steps": (
        "Steps are how many times the picture is refined. 20 to 30 are usually enough; more take longer and "
        "change little."
    ),
    "cfg": (
        "The CFG scale says how closely the picture follows the prompt. 5 to 8 is usual. Lower is freer; "
        "much higher looks burnt."
    ),
    "clip skip": (
        "Clip skip leaves out the last layers of the part that reads the prompt. Many anime models were made "
        "with 2. It is best left as suggested."
    ),
    "weight": (
        "The LoRA weight says how strongly the LoRA works: 1 is full strength, 0.5 is half. Say “LoRA at "
        "0.5” to change it."
    ),
    "negative prompt": (
        "The negative prompt lists what the picture should not show, such as text or people. Say “no text”, "
        "and I put it in there."
    ),
    "trigger words": (
        "Trigger words wake up what a LoRA has learnt. I add them to the prompt where they are needed."
    ),
    "seed": (
        "The seed is the number a picture starts from: the same seed and settings make the same picture. You "
        "set it in your own program; -1 there means a new one each time."
    ),
    "vae": (
        "A VAE turns the model's inner picture into pixels. Most checkpoints have one built in. You only "
        "need another if the colours look grey."
    ),
    "safetensors": (
        "A .safetensors file holds numbers only and cannot run anything, unlike old .ckpt files. "
        "`diffagent fetch` downloads only this kind, and checks that it is the right file."
    ),
    "memory": (
        "SD 1.5 models need about 4 GB of graphics memory, SDXL models about 8. Without a graphics card a "
        "picture takes minutes instead of seconds."
    ),
    "privacy": (
        "Everything runs on this machine. Your words are sent to nobody and are not written to disk: they "
        "are forgotten when the program ends. Civitai is asked for sample pictures only if you press the "
        "button for it, and its links open only when you click them."
    ),
    "pictures": (
        "I choose the model and its settings. Your own program makes the picture: A1111, Forge, ComfyUI or "
        "Python. If you have the model files, `diffagent ui --models FOLDER` makes pictures on the page."
    ),
    "cost": (
        "DiffAgent is free, runs on your machine and needs no account. The models are free downloads from "
        "Civitai, which wants an account for some of them."
    ),
    "languages": (
        "English works best. I know styles and subjects in sixteen other languages, and “wider”, “another "
        "one” or “no people” in German, French, Spanish, Chinese, Japanese and Russian."
    ),
}


def answer(topic: str, best: Selection | None, others: Sequence[Selection], catalogue: Catalogue) -> str:
    """What is answered to a topic; a question about the chosen model needs one."""
    if topic in _TEXTS:
        return _TEXTS[topic]
    if topic == "sources":
        return _sources(catalogue)
    if topic == "family":
        return _families(catalogue)
    if best is None:
        return NOTHING_YET
    if topic == "differences":
        return _differences(best, others, catalogue)
    return _OF_MODEL[topic](best, catalogue) if topic in _OF_MODEL else _others(best, others, catalogue)


def _sources(catalogue: Catalogue) -> str:
    return (
        f"From a list of {len(catalogue):,} models on Civitai, as they were when the list was made (July "
        "2023 for the one that comes with DiffAgent). I compare your words with what each model is made for, "
        "what its creator says about it, and the prompts of its example pictures. I never invent a model. To "
        "use a list of your own: diffagent ui --catalogue FILE."
    )


def _families(catalogue: Catalogue) -> str:
    held = ", ".join(catalogue.families)
    return (
        f"A family is the base that models are built on. A LoRA only works with checkpoints of its own "
        f"family. I know {held}. SD 1.5 is light and has the most models; SDXL makes larger pictures and "
        "needs more memory."
    )


def _install(best: Selection, catalogue: Catalogue) -> str:
    own = " and ".join(
        f"{_file(kind, name)} into {FOLDERS[kind][0]} (A1111, Forge) or {FOLDERS[kind][1]} (ComfyUI)"
        for kind, name in _parts(best.api)
    )
    return (
        f"Put {own}. Then use the text for your program. In A1111 and Forge, paste it into the prompt box "
        "and press the small arrow below Generate. In ComfyUI, drop the workflow file on the page."
    )


def _download(best: Selection, catalogue: Catalogue) -> str:
    pages = [f"{named(name)}: {page}" for name, page in links(best.api, catalogue)]
    ids = [best.api.air] if best.api.air else []
    if best.api.base_checkpoint and best.api.base_checkpoint.air:
        ids.append(best.api.base_checkpoint.air)
    fetch = f" Or in a terminal: diffagent fetch {' '.join(ids)}" if ids else ""
    if not pages:
        return f"The catalogue has no address for {named(best.api.model)}."
    return f"{'; '.join(pages)}.{fetch}"


def _size(best: Selection, catalogue: Catalogue) -> str:
    told = {"LORA": "a LoRA", "Checkpoint": "a checkpoint"}
    parts = [f"{told[kind]} is {USUAL_SIZES[kind]} ({named(name)})" for kind, name in _parts(best.api)]
    text = ", ".join(parts)
    return f"{text[:1].upper()}{text[1:]}. The exact size is on the model's page."


def _model(best: Selection, catalogue: Catalogue) -> str:
    api = best.api
    kind = "a LoRA" if api.type == "LORA" else "a checkpoint"
    parts = [f"{named(api.model)} is {kind} for {plain(api.base_model, NAME_CHARS)}."]
    if api.model_description:
        parts.append(plain(api.model_description, 400))
    record = catalogue.get(api.model_id) if api.model_id is not None and api.model_id in catalogue else None
    if record is not None:
        if record.creator:
            parts.append(f"Made by {plain(record.creator, NAME_CHARS)}.")
        if popularity(record):
            parts.append(f"{popularity(record)}.")
    return " ".join(parts)


def _prompt(best: Selection, catalogue: Catalogue) -> str:
    api = best.api
    negative = f" Negative prompt: {plain(api.negative_prompt, _PROMPT_CHARS)}" if api.negative_prompt else ""
    return f"Prompt: {plain(api.prompt, _PROMPT_CHARS)}{negative}"


_OF_MODEL: dict[str, Callable[[Selection, Catalogue], str]] = {
    "install": _install,
    "download": _download,
    "size": _size,
    "model": _model,
    "prompt": _prompt,
}


def _others(best: Selection, others: Sequence[Selection], catalogue: Catalogue) -> str:
    if not others:
        return "There are no others for these words. Say “another one” to keep looking."
    told = [f"{place}. {named(each.api.model)}" for place, each in enumerate(others, start=2)]
    listed = "; ".join(told)
    return (
        f"Beside {named(best.api.model)}: {listed}. Say a number to take one, or “another one” to see more."
    )


def _differences(best: Selection, others: Sequence[Selection], catalogue: Catalogue) -> str:
    told = [
        f"{place}. {named(each.api.model)}: {difference(best, each, catalogue)}"
        for place, each in enumerate(others, start=2)
    ]
    if not told:
        return "There is only one to look at. Say “another one” to see more."
    return f"Compared with {named(best.api.model)}: {'; '.join(told)}."


def _parts(api: T2IApi) -> list[tuple[str, str]]:
    """Type and name of what a call needs."""
    parts = [(str(api.type), api.model)]
    if api.base_checkpoint is not None:
        parts.append(("Checkpoint", api.base_checkpoint.model))
    return parts


def _file(kind: str, name: str) -> str:
    return f"the {'LoRA' if kind == 'LORA' else 'checkpoint'} {quoted(name, NAME_CHARS)}"


def links(api: T2IApi, catalogue: Catalogue) -> list[tuple[str, str]]:
    """Name and page of what a call needs, as far as the catalogue knows them."""
    ids = [(api.model, api.model_id)]
    if api.base_checkpoint is not None:
        ids.append((api.base_checkpoint.model, api.base_checkpoint.model_id))
    return [
        (name, catalogue.get(number).page_url)
        for name, number in ids
        if number is not None and number in catalogue
    ]
