"""One turn of a chat: a message and a state in; the new state, its models, and what was understood out.

    conversation = Conversation(RetrievalSelector(), Catalogue.starter())
    turn = conversation.turn("a happy corgi, pixel art", State())
    turn = conversation.turn("make it wide", turn.state)
    turn.understood, turn.state.best.api.width

`diffagent chat` and `diffagent ui` both speak through this. No language model is needed for the talking: the
small grammar of diffagent_tools/chat/request.py reads the messages, and the selector chooses.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from diffagent_tools.agents.operations import adjusted
from diffagent_tools.chat.about import NOTHING_YET, answer
from diffagent_tools.chat.fields import STANDING, read_field
from diffagent_tools.chat.replies import EMPTY, HELP, licence_words, nothing, offer, told, why
from diffagent_tools.chat.request import Refined, StandingRequest, refine, sized
from diffagent_tools.chat.steps import Step
from diffagent_tools.quoting import NAME_CHARS, plain, quoted, settings_text
from diffagent_tools.select.selection import NO_LIKENESS, Selection, Selector, consent_notes
from retrieval.calls.base_checkpoint import on_offered_checkpoint
from retrieval.calls.compose import api_for
from retrieval.calls.licence import may_sell
from retrieval.calls.limits import adjust
from retrieval.catalogue import Catalogue
from retrieval.catalogue.names import normalise_name
from retrieval.errors import DiffAgentError, InvalidInput
from retrieval.records.api import read_instruction
from retrieval.records.model import RATINGS, SAFE
from retrieval.requests.understanding import reads_as_prompt
from retrieval.search.filters import Filter, FilterWords
from retrieval.search.purpose import asked_facets

ALTERNATIVES = 4
_ANSWER_CHARS = 600


@dataclass(frozen=True)
class State:
    """Where a chat stands: the request, and the models for it, the chosen one first.

    `ranked` is as the selector gave it, `found` at the size and with the settings that were asked for.
    `offered` is a message that was not understood, and may be added to the wish if the person says yes.
    """

    request: StandingRequest = field(default_factory=StandingRequest)
    ranked: tuple[Selection, ...] = ()
    found: tuple[Selection, ...] = ()
    messages: tuple[Any, ...] = field(default=(), repr=False)
    offered: str | None = None

    @property
    def best(self) -> Selection | None:
        """The chosen model."""
        return self.found[0] if self.found else None


@dataclass(frozen=True)
class Turn:
    """What a message did. `failed`: nothing, for the reason that `answer` gives; the state is the old one.

    `chosen`: the models or their settings are others than before. `spoken`: `answer` says more than the
    models themselves do.
    """

    said: str
    answer: str
    state: State
    understood: tuple[str, ...] = ()
    failed: bool = False
    chosen: bool = False
    spoken: bool = False


class Talker(Protocol):
    """Whoever answers a message."""

    def turn(self, message: str, state: State) -> Turn:
        """Never raises for what is wrong with a message or a model: the turn says so."""
        ...


def _asked(request: StandingRequest) -> dict[str, str]:
    """What a selector is asked: what a person refused is said as such, so that it counts against models."""
    avoided = [part.strip() for part in request.negative_prompt.split(",") if part.strip()]
    if avoided and not reads_as_prompt(request.prompt):
        return {"prompt": ", no ".join((request.prompt, *avoided))}
    return {"prompt": request.prompt, "negative prompt": request.negative_prompt}


class Conversation:
    """Talks by the grammar; knows nothing between two turns, so that any number of chats can share it.

    Args:
        selector: chooses.
        catalogue: what the selector chooses from.
        alternatives: how many models are offered beside the chosen one.
        max_nsfw: the highest browsing level of a model (1, 2, 4, 8, 16); None: only what is safe.
    """

    def __init__(
        self,
        selector: Selector,
        catalogue: Catalogue,
        *,
        alternatives: int = ALTERNATIVES,
        max_nsfw: int | None = None,
    ) -> None:
        self.selector = selector
        self.catalogue = catalogue
        self.max_nsfw = max_nsfw
        self._alternatives = alternatives

    def turn(self, message: str, state: State) -> Turn:
        """Reads a message and does what it asks."""
        if not message.strip():
            return Turn(message, EMPTY, state, failed=True)
        try:
            read_instruction({"prompt": message})
        except DiffAgentError as error:
            return Turn(message, plain(str(error), _ANSWER_CHARS), state, failed=True)
        refined = refine(state.request, message, lambda name, sure: self._known(name, sure, state))
        kinds = [act.kind for act in refined.acts]
        if state.offered is not None and kinds == ["yes"]:
            made = self.turn(f'"{state.offered}"', replace(state, offered=None))
            return replace(made, said=message)
        if state.offered is not None and kinds == ["no"]:
            return Turn(message, "All right, nothing changes.", replace(state, offered=None))
        state = replace(state, offered=None)
        try:
            return self._turn(message, refined, state)
        except DiffAgentError as error:
            return Turn(message, plain(str(error), _ANSWER_CHARS), state, refined.understood, failed=True)

    def pick(self, model_id: int, state: State) -> Turn:
        """Takes one of the alternatives, or any model of the catalogue."""
        said = f"model {model_id}"
        try:
            request, words, _ = self._act(Step("take", model_id), state.request, state)
            made = self._fitted(replace(state, request=request, ranked=self._pinned(state.ranked, request)))
        except DiffAgentError as error:
            return Turn(said, plain(str(error), _ANSWER_CHARS), state, failed=True)
        return Turn(said, told(state.best, made.found[0]), made, (words,), chosen=True)

    def edit(self, fields: Mapping[str, Any], state: State) -> Turn:
        """Sets fields of the chosen API, by their Python names; what cannot be used is mended, and said.

        Size, sampler, steps, cfg scale and the negative prompt hold for the models that follow, too.
        """
        best = state.best
        if best is None:
            return Turn("edit", NOTHING_YET, state, failed=True)
        try:
            update = {name: read_field(name, value) for name, value in fields.items()}
        except InvalidInput as error:
            return Turn("edit", plain(str(error), _ANSWER_CHARS), state, failed=True)
        update = {name: value for name, value in update.items() if value != getattr(best.api, name)}
        if not update:
            return Turn("edit", "Nothing was changed.", state)
        made, notes = adjust(best.api, **update)
        kept = {name: getattr(made, name) for name in update if name in STANDING}
        if kept.keys() & {"width", "height"}:
            kept |= {"width": made.width, "height": made.height, "shape": None, "ratio": None, "scale": 1.0}
        own = {name: getattr(made, name) for name in update if name not in STANDING or name in _WHOLE}
        first = state.ranked[0].model_copy(update={"api": state.ranked[0].api.model_copy(update=own)})
        request = state.request.after(**kept)
        changed = replace(state, request=request, ranked=(first, *state.ranked[1:]))
        words = tuple(f"{name.replace('_', ' ')} {plain(str(getattr(made, name)), 60)}" for name in update)
        answer = "; ".join(notes) or f"Set: {settings_text(made)}."
        return Turn("edit", answer, self._fitted(changed), words, chosen=True)

    def _turn(self, message: str, refined: Refined, state: State) -> Turn:
        request, understood = refined.request, list(refined.understood)
        search = refined.changed and _needs_search(state.request, request)
        for act in refined.acts:
            if act.kind == "yes":
                continue
            request, words, again = self._act(act, request, state)
            understood.append(words)
            search = search or again
        answers = [self._answer(question, state, request) for question in refined.questions]
        unclear = next((step.value for step in refined.questions if step.kind == "unclear"), None)
        if not refined.changed and not understood:
            text = " ".join(answers) or self._answer(Step("thanks"), state, request)
            return Turn(message, text, replace(state, offered=unclear), spoken=True)
        if not request.prompt:
            if state.request.prompt:
                return Turn(
                    message, "Started over. What should the picture show?", State(request), ("start over",)
                )
            noted = f" Noted: {', '.join(understood)}." if understood else ""
            return Turn(message, f"What should the picture show?{noted}", replace(state, request=request))
        ranked = self._search(request) if search or not state.ranked else state.ranked
        if not ranked:
            return Turn(message, nothing(request), state, tuple(understood), failed=True)
        ranked = self._pinned(ranked, request)
        made = self._fitted(replace(state, request=request, ranked=ranked, offered=unclear))
        answers.insert(0, told(state.best, made.found[0]))
        asked = request.lora_weight not in (None, state.request.lora_weight)
        if asked and made.found[0].api.lora_weight is None:
            answers.append("This is a checkpoint; the weight will be used for the next LoRA.")
        return Turn(
            message,
            " ".join(answers),
            made,
            tuple(understood),
            chosen=made.found != state.found,
            spoken=bool(refined.questions),
        )

    def _act(self, act: Step, request: StandingRequest, state: State) -> tuple[StandingRequest, str, bool]:
        """The request after an act on the models, the act in words, and whether to search again."""
        if act.kind == "undo":
            if not request.history:
                raise InvalidInput("there is nothing to go back to")
            return request.undone(), "one step back", True
        if act.kind == "unknown":
            raise InvalidInput(self._no_such(act.value))
        best = state.best
        if best is None:
            raise InvalidInput(NOTHING_YET)
        if act.kind == "again":
            return request.after(seen=(), refused=()), "all models are back", True
        if act.kind == "nudge":
            return self._nudged(act, request, best)
        if act.kind == "another" and act.value == "all":
            passed = tuple(each.api.model_id for each in state.found if each.api.model_id is not None)
            return request.after(seen=(*request.seen, *passed), pinned=None), "none of these models", True
        if act.kind in ("another", "refuse", "no"):
            model_id = act.value if act.value is not None else best.api.model_id
            name = plain(self._name(model_id, state), NAME_CHARS)
            if model_id is None:
                raise InvalidInput(f"{name} has no id in the catalogue, so it cannot be left out")
            left = (model_id,)
            pinned = None if request.pinned == model_id else request.pinned
            if act.kind == "another":
                return request.after(seen=(*request.seen, *left), pinned=None), f"skipped {name}", True
            return request.after(refused=(*request.refused, *left), pinned=pinned), f"not {name} again", True
        if act.kind == "pick":
            place = act.value if act.value > 0 else len(state.found)
            if not 1 <= place <= len(state.found):
                raise InvalidInput(f"there is no number {place}; the list has {len(state.found)}")
            model_id = state.found[place - 1].api.model_id
        else:
            model_id = act.value
            record = self.catalogue.get(model_id)
            if record.shows_a_person:
                raise InvalidInput(NO_LIKENESS)
            if not record.may_be_offered(self._level):
                raise InvalidInput(
                    f"{plain(record.model, NAME_CHARS)} is rated {record.rating}, and this chat keeps to "
                    f"{RATINGS[self._level]}; for more start it with --max-nsfw {record.browsing_level}"
                )
            if not record.available:
                status = f" ({record.status})" if record.status else ""
                name = plain(record.model, NAME_CHARS)
                raise InvalidInput(f"{name} can no longer be had{status}; choose another")
        words = f"your choice: {plain(self._name(model_id, state), NAME_CHARS)}"
        refused = tuple(each for each in request.refused if each != model_id)
        seen = tuple(each for each in request.seen if each != model_id)
        return request.after(pinned=model_id, refused=refused, seen=seen), words, False

    def _nudged(
        self, act: Step, request: StandingRequest, best: Selection
    ) -> tuple[StandingRequest, str, bool]:
        """A setting a little higher or lower than it is."""
        name, times = act.value
        now = getattr(best.api, name)
        if now is None:
            raise InvalidInput(f"{plain(best.api.model, NAME_CHARS)} is a checkpoint and has no LoRA weight")
        value = round(now * times) if name == "sampling_steps" else round(now * times, 1)
        return request.after(**{name: value}), f"{name.replace('_', ' ')} {value:g}", False

    def _no_such(self, name: str) -> str:
        near = [self.catalogue.get(each.model_id) for each in self.catalogue.spelling.nearest(name)]
        offered = [plain(each.model, NAME_CHARS) for each in near if each.may_be_offered(self._level)]
        told = f"; did you mean {', '.join(offered[:3])}?" if offered else ""
        return f"I know no model called {quoted(name, NAME_CHARS)}{told}"

    def _search(self, request: StandingRequest) -> tuple[Selection, ...]:
        return tuple(
            self.selector.select(
                _asked(request),
                k=1 + self._alternatives,
                **self._words(request),
            )
        )

    def _words(self, request: StandingRequest) -> FilterWords:
        return {
            "base_model": request.base_model,
            "type": request.type,
            "commercial_use": request.commercial_use,
            "exclude": (*request.refused, *request.seen),
            "max_nsfw": self.max_nsfw,
        }

    def _pinned(self, ranked: tuple[Selection, ...], request: StandingRequest) -> tuple[Selection, ...]:
        """The user's own choice first, filled in where the search did not give it."""
        if request.pinned is None or ranked[0].api.model_id == request.pinned:
            return ranked
        others = tuple(each for each in ranked if each.api.model_id != request.pinned)
        own = next((each for each in ranked if each.api.model_id == request.pinned), None)
        if own is None:
            record = self.catalogue.get(request.pinned)
            instruction = read_instruction(
                {"prompt": request.prompt, "negative prompt": request.negative_prompt}
            )
            wanted = Filter.offered(self.catalogue, **self._words(request))
            api, notes = on_offered_checkpoint(api_for(record, instruction), self.catalogue, wanted)
            own = Selection(
                api=api,
                score=others[0].score if others else 0.0,
                reason="you chose it",
                page_url=record.page_url,
                rating=record.rating,
                max_nsfw=self._level,
                may_sell=may_sell(api, self.catalogue).allowed,
                notes=(*notes, *consent_notes(instruction)),
            )
        return (own, *others)[: 1 + self._alternatives]

    def _fitted(self, state: State) -> State:
        """Every model at the size and with the settings of the request, what its family cannot do mended."""
        return replace(state, found=tuple(_fit(selection, state.request) for selection in state.ranked))

    @property
    def _level(self) -> int:
        return SAFE if self.max_nsfw is None else self.max_nsfw

    def _known(self, name: str, sure: bool, state: State) -> int | None:
        """The id of a model by its name: of those on the table, or, if it is said to be one, of all."""
        wanted = normalise_name(name)
        for selection in state.found:
            if wanted and normalise_name(selection.api.model) == wanted:
                return selection.api.model_id
        # "use watercolor" is a wish, whatever models are called
        if not sure or (not name[:1].isupper() and asked_facets(name)):
            return None
        matches = self.catalogue.find(name)
        return matches[0].record.model_id if matches and matches[0].how in _BY_NAME else None

    def _name(self, model_id: int | None, state: State) -> str:
        for selection in state.found:
            if selection.api.model_id == model_id:
                return selection.api.model
        return self.catalogue.get(model_id).model if model_id is not None else "that model"

    def _answer(self, question: Step, state: State, request: StandingRequest) -> str:
        if question.kind == "unclear":
            return offer(question.value)
        if question.kind == "help":
            return HELP
        if question.kind == "thanks":
            return "You are welcome. Say what to change, or start over." if state.found else HELP
        if question.kind == "show":
            return f"So far: {'; '.join(request.words)}." if request.words else "Nothing is asked for yet."
        best = state.best
        if question.kind == "ask":
            return answer(question.value, best, state.found[1:], self.catalogue)
        if best is None:
            return NOTHING_YET
        if question.kind == "why":
            return why(best)
        model_id = best.api.model_id
        known = model_id is not None and model_id in self.catalogue
        return licence_words(
            best.api, self.catalogue.get(model_id) if known and model_id else None, self.catalogue
        )


_BY_NAME = ("name", "alias", "version", "file", "air", "url", "hash")
_WHOLE = frozenset({"negative_prompt"})
"""what an edit changes of this answer, and the request of those that follow"""
_FILTERS = ("prompt", "negative_prompt", "base_model", "type", "commercial_use", "refused", "seen")


def _needs_search(before: StandingRequest, after: StandingRequest) -> bool:
    return any(getattr(before, name) != getattr(after, name) for name in _FILTERS)


def _fit(selection: Selection, request: StandingRequest) -> Selection:
    width, height = sized(selection.api, request)
    wanted = {
        "width": width,
        "height": height,
        "sampling_steps": request.sampling_steps,
        "cfg_scale": request.cfg_scale,
        "sampling_method": request.sampling_method,
        "lora_weight": request.lora_weight if selection.api.lora_weight is not None else None,
        "clip_skip": request.clip_skip,
    }
    # an answer says what the request refuses, and then what its model's samples do
    if not selection.api.negative_prompt.startswith(request.negative_prompt):
        wanted["negative_prompt"] = request.negative_prompt
    update = {name: value for name, value in wanted.items() if value is not None}
    return adjusted(selection, **update)
