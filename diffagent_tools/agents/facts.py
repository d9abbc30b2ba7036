"""What a calling model has to know of an answer beside its call: fit, family, facets, licence, downloads.

facts(selection, catalogue)["licence"]        # {"sell_images": False, "parts": [...], ...}
"""

from dataclasses import asdict
from typing import Any

from diffagent_tools.files.downloads import Download, downloads
from diffagent_tools.quoting import NAME_CHARS, quoted
from diffagent_tools.select.fit import fit_of
from diffagent_tools.select.selection import Selection
from retrieval.calls.licence import may_sell
from retrieval.catalogue import Catalogue
from retrieval.records.model import ModelRecord
from retrieval.search.purpose import MADE_FOR, strengths

_MOST_FACETS = 8


def facts(selection: Selection, catalogue: Catalogue) -> dict[str, Any]:
    """The facts of an answer as JSON values; `fit` is None where nobody measured it."""
    api = selection.api
    record = catalogue.get(api.model_id) if api.model_id is not None and api.model_id in catalogue else None
    fit = fit_of(selection)
    return {
        "fit": fit.words if fit else None,
        "advice": fit.advice if fit and fit.advice else None,
        "family": api.base_model,
        "facets": facets_of(record) if record is not None else [],
        "licence": _licence(selection, record, catalogue),
        "downloads": [{**asdict(each), "usual_size": each.usual_size} for each in downloads(api, catalogue)],
    }


def facets_of(record: ModelRecord) -> list[str]:
    """What a model is made for, the surest first: media, looks, genres and subjects."""
    made = sorted(strengths(record).items(), key=lambda item: -item[1])
    return [name for name, strength in made if strength >= MADE_FOR][:_MOST_FACETS]


def download_text(each: Download) -> str:
    """A file in one line."""
    name = f"{quoted(each.file_name, NAME_CHARS)} of " if each.file_name else ""
    kind = "the LoRA" if each.type == "LORA" else "the checkpoint"
    where = each.url or each.page_url or "no address is known"
    return f"{name}{kind} {quoted(each.model, NAME_CHARS)}, {each.usual_size}: {where}"


def _licence(selection: Selection, record: ModelRecord | None, catalogue: Catalogue) -> dict[str, Any]:
    sale = may_sell(selection.api, catalogue)
    credit = None if record is None or record.allow_no_credit is None else not record.allow_no_credit
    return {
        "sell_images": sale.allowed,
        "parts": [{"model": name, "sell_images": allowed} for name, allowed in sale.parts],
        "credit_needed": credit,
    }
