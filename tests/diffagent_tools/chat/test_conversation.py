"""The conversation and `diffagent chat`, on the small catalogue; an agent with a scripted chat model."""

import re
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, ToolCall
from scripted_chat import ScriptedChat, in_turn
from small_world import WordSelector, small_catalogue, small_records
from typer.testing import CliRunner, Result

from diffagent_tools.chat.about import answer
from diffagent_tools.chat.agent import AgentConversation, chat_model
from diffagent_tools.chat.conversation import Conversation, State, Turn
from diffagent_tools.chat.words.questions import QUESTIONS
from diffagent_tools.cli import chat as chat_command
from diffagent_tools.cli import command as cli
from diffagent_tools.select.selection import Selection
from retrieval.catalogue import Catalogue
from retrieval.errors import BaseModelMissing, InvalidInput
from retrieval.records.api import T2IApi
from retrieval.records.model import ModelRecord

CATALOGUE = small_catalogue()
CORGI = "a happy corgi, pixel art"
ANY = re.compile("").match("")
"""A match, for rules that do not look at it."""


@pytest.fixture
def selector() -> WordSelector:
    return WordSelector(CATALOGUE)


@pytest.fixture
def conversation(selector: WordSelector) -> Conversation:
    return Conversation(selector, CATALOGUE)


def play(conversation: Conversation, *messages: str) -> Turn:
    turn = Turn("", "", State())
    for message in messages:
        turn = conversation.turn(message, turn.state)
    return turn


def best(turn: Turn) -> T2IApi:
    assert turn.state.best is not None
    return turn.state.best.api


def test_a_request_is_answered_and_refined(conversation: Conversation, selector: WordSelector) -> None:
    turn = play(conversation, CORGI)
    assert best(turn).model == "Pixel Art Helper"
    assert [each.api.model for each in turn.state.found[1:2]] == ["Free Pixels"]
    assert turn.chosen
    assert "Pixel Art Helper, a LoRA for SD 1.5. A fair match: 60% of the words" in turn.answer
    turn = conversation.turn("make it wide", turn.state)
    assert (best(turn).width, best(turn).height) == (768, 512)
    assert turn.understood == ("wide",)
    assert turn.answer == "Still Pixel Art Helper, now 768x512."
    assert len(selector.asked) == 1, "another size is no reason to search again"
    turn = conversation.turn("only checkpoints, at night", turn.state)
    assert selector.asked[-1] == {
        "prompt": "a happy corgi, pixel art, at night",
        "base_model": None,
        "type": "Checkpoint",
        "commercial_use": None,
    }
    assert (best(turn).model, best(turn).width) == ("Free Pixels", 768)


def test_another_one_and_not_that_one(conversation: Conversation) -> None:
    turn = play(conversation, CORGI, "another one")
    assert best(turn).model == "Free Pixels"
    assert "skipped Pixel Art Helper" in turn.understood
    assert best(play(conversation, CORGI, "another one", "at night")).model == "Free Pixels"
    assert best(play(conversation, CORGI, "another one", "bring them back")).model == "Pixel Art Helper"
    assert best(play(conversation, CORGI, "another one", "use Pixel Art Helper")).model == "Pixel Art Helper"
    assert best(play(conversation, CORGI, "not that model", "at night")).model == "Free Pixels"
    assert best(play(conversation, CORGI, "not free pixels", "another one")).model_id not in (201, 202)


def test_all_models_passed_over_is_said_and_the_chat_goes_on(conversation: Conversation) -> None:
    turn = play(conversation, CORGI, "only LoRAs for SD 1.5", "another one")
    assert turn.failed
    assert "No other model fits" in turn.answer
    assert best(turn).model == "Pixel Art Helper"
    assert best(conversation.turn("any type", turn.state)).model == "Pixel Art Helper"


def test_an_alternative_that_is_picked_stays(conversation: Conversation) -> None:
    turn = play(conversation, CORGI, "2")
    assert best(turn).model == "Free Pixels"
    assert [each.api.model for each in turn.state.found[:2]] == ["Free Pixels", "Pixel Art Helper"]
    assert best(conversation.turn("make it tall and at night", turn.state)).model == "Free Pixels"
    assert best(conversation.turn("more like a helper", turn.state)).model == "Pixel Art Helper"
    assert best(conversation.turn("undo", turn.state)).model == "Pixel Art Helper"
    picked = conversation.pick(204, turn.state)
    assert best(picked).model == "[red]Night[/] City"
    assert picked.understood == ("your choice: [red]Night[/] City",)
    assert conversation.turn("the ninth one", turn.state).chosen
    gone = conversation.turn("use the model Lost Landscapes", turn.state)
    assert (gone.failed, "can no longer be had (removed by its creator)" in gone.answer) == (True, True)


def test_undo_and_start_over(conversation: Conversation) -> None:
    turn = play(conversation, CORGI, "make it wide", "undo")
    assert best(turn).width == 512
    assert conversation.turn("undo", turn.state).answer == "there is nothing to go back to"
    turn = conversation.turn("start over", turn.state)
    assert (turn.state.found, turn.state.request.prompt) == ((), "")
    assert best(conversation.turn("undo", turn.state)).model == "Pixel Art Helper"
    assert best(conversation.turn("neon streets in the rain", turn.state)).model == "[red]Night[/] City"


def test_a_style_said_later_replaces_the_earlier_and_what_was_refused_stays_away(
    conversation: Conversation, selector: WordSelector
) -> None:
    turn = play(conversation, CORGI, "not that one", "more like a watercolour")
    assert turn.state.request.prompt == "a happy corgi, watercolour"
    assert selector.asked[-1]["prompt"] == "a happy corgi, watercolour"
    assert 201 not in [each.api.model_id for each in turn.state.found]
    turn = conversation.turn("as a pixel art picture, after all", turn.state)
    assert "watercolour" not in turn.state.request.prompt
    assert best(turn).model == "Free Pixels", "passed over until it is asked for"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("what can you do?", "I name the Stable Diffusion model"),
        ("what is a LoRA?", "A LoRA is a small file"),
        ("where do I put this file?", 'the LoRA "Pixel Art Helper" into models/Lora'),
        ("how big is it?", "A LoRA is usually 10 to 300 MB"),
        ("where can I download it?", "https://civitai.com/models/201"),
        ("how much memory does it need?", "about 4 GB"),
        ("do you store my prompts?", "not written to disk"),
        ("where do the models come from?", "a list of 7 models"),
        ("what's the difference?", "2. Free Pixels: a checkpoint instead"),
        ("tell me about it", "Pixel Art Helper is a LoRA for SD 1.5."),
        ("show me the prompt", "Prompt: a happy corgi, pixel art"),
        ("why?", "A fair match."),
    ],
)
def test_a_question_is_answered_and_changes_nothing(
    conversation: Conversation, message: str, said: str
) -> None:
    before = play(conversation, CORGI).state
    turn = conversation.turn(message, before)
    assert said in turn.answer
    assert turn.state == before
    assert not turn.failed


def test_every_topic_has_an_answer_before_and_after_a_choice(conversation: Conversation) -> None:
    state = play(conversation, CORGI).state
    topics = {step.value for rule in QUESTIONS if (step := rule.step(ANY, True)) and step.kind == "ask"}
    assert len(topics) > 20
    for topic in topics:
        for said in (
            answer(topic, None, (), CATALOGUE),
            answer(topic, state.best, state.found[1:], CATALOGUE),
        ):
            assert len(said) > 20
            assert topic in ("prompt", "download") or said.endswith(".")


def test_what_is_not_understood_is_offered_and_never_silently_added(conversation: Conversation) -> None:
    before = play(conversation, CORGI)
    asked = conversation.turn("can dogs fly?", before.state)
    assert 'I am not sure what "can dogs fly" means' in asked.answer
    assert asked.state.request == before.state.request
    assert conversation.turn("yes", asked.state).state.request.prompt == f"{CORGI}, can dogs fly"
    declined = conversation.turn("no", asked.state)
    assert (declined.state, declined.chosen) == (before.state, False)
    assert best(conversation.turn("no", before.state)).model == "Free Pixels", "without an offer, no is no"
    assert conversation.turn("thanks", before.state).state == before.state
    moved = conversation.turn("make it wide", asked.state)
    assert moved.state.offered is None


def test_a_model_is_used_by_its_name_and_an_unknown_one_is_said(conversation: Conversation) -> None:
    turn = play(conversation, CORGI, "use Watercolor Wash")
    assert best(turn).model == "Watercolor Wash"
    assert best(conversation.turn("Free Pixels instead", turn.state)).model == "Free Pixels"
    unknown = conversation.turn("use the model Free Pixxels", turn.state)
    assert unknown.failed
    assert 'I know no model called "Free Pixxels"; did you mean Free Pixels?' in unknown.answer
    wish = conversation.turn("use watercolor", turn.state)
    assert wish.state.request.prompt == "a happy corgi, watercolor"


def test_settings_are_nudged_from_where_they_are(conversation: Conversation) -> None:
    turn = play(conversation, CORGI, "LoRA at 0.5", "Euler a", "more steps")
    assert (best(turn).lora_weight, best(turn).sampling_method, best(turn).sampling_steps) == (
        0.5,
        "Euler a",
        38,
    )
    assert best(conversation.turn("default settings", turn.state)).sampling_steps == 25
    checkpoint = conversation.turn("LoRA at 0.7", play(conversation, CORGI, "2").state)
    assert "This is a checkpoint" in checkpoint.answer
    assert conversation.turn("stronger", checkpoint.state).failed


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ((CORGI,), "Pixel Art Helper: no, its creator does not let you sell the images. It runs on v1-5"),
        (
            (CORGI, "2"),
            "Free Pixels: yes, its creator lets you sell the images. Its page has the last word: https://",
        ),
        (("watercolor wash",), "Watercolor Wash: the catalogue does not know whether"),
        ((), "Nothing is chosen yet"),
    ],
)
def test_may_i_sell_it(conversation: Conversation, messages: tuple[str, ...], said: str) -> None:
    before = play(conversation, *messages)
    turn = conversation.turn("may I sell it?", before.state)
    assert turn.answer.startswith(said)
    assert turn.state == before.state


def test_only_what_may_be_sold_is_asked_for_and_what_is_below_a_lora_counts() -> None:
    records = small_records()
    records[0]["commercial_use"], records[2]["commercial_use"] = [], ["Image"]
    catalogue = Catalogue(ModelRecord.model_validate(record) for record in records)
    selector = WordSelector(catalogue)
    turn = play(Conversation(selector, catalogue), CORGI, "only models I may sell")
    assert selector.asked[-1]["commercial_use"] is True
    assert turn.state.best is not None
    assert turn.state.best.api.base_checkpoint is not None
    assert turn.state.best.may_sell is False


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("use flux", "There is no model for that (base model: Flux.1 D)"),
        ("9", "there is no number 9; the list has 5"),
        ("x" * 20_001, "at most 20,000"),
        ("   ", "Say what the picture should show."),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_changes(
    conversation: Conversation, message: str, said: str
) -> None:
    before = play(conversation, CORGI).state
    turn = conversation.turn(message, before)
    assert turn.failed
    assert said in turn.answer
    assert len(turn.answer) < 700
    assert turn.state == before


def test_a_failing_selector_is_a_failed_turn(conversation: Conversation, selector: WordSelector) -> None:
    def fail(*arguments: Any, **filters: Any) -> Any:
        raise BaseModelMissing("the model is not there; download it")

    before = play(conversation, CORGI).state
    selector.select = fail  # type: ignore[method-assign]
    turn = conversation.turn("at night", before)
    assert (turn.failed, turn.answer, turn.state) == (True, "the model is not there; download it", before)
    assert conversation.turn("make it wide", before).chosen


def test_filters_may_come_before_the_request(conversation: Conversation, selector: WordSelector) -> None:
    turn = play(conversation, "only checkpoints")
    assert turn.answer == "What should the picture show? Noted: only checkpoints."
    assert best(conversation.turn(CORGI, turn.state)).model == "Free Pixels"


def test_edited_fields_are_validated_and_stay(conversation: Conversation) -> None:
    turn = play(conversation, CORGI)
    edited = conversation.edit({"width": "770", "sampling_steps": 30, "prompt": "a corgi"}, turn.state)
    assert (best(edited).width, best(edited).sampling_steps, best(edited).prompt) == (768, 30, "a corgi")
    assert edited.answer == "width 770 became 768: the width must be a multiple of 8"
    after = best(conversation.turn("only checkpoints", edited.state))
    assert (after.model, after.width, after.sampling_steps) == ("Free Pixels", 768, 30)
    assert best(conversation.turn("make it tall", edited.state)).prompt == "a corgi"
    assert conversation.edit({"width": 512}, turn.state).answer == "Nothing was changed."


def test_what_a_model_refuses_by_itself_stays_behind_what_is_refused_until_it_is_edited(
    conversation: Conversation, selector: WordSelector
) -> None:
    chosen = selector.select

    def with_its_own(*given: Any, **words: Any) -> list[Selection]:
        found = chosen(*given, **words)
        negative = {"negative_prompt": "people, blurry"}
        return [each.model_copy(update={"api": each.api.model_copy(update=negative)}) for each in found]

    selector.select = with_its_own  # type: ignore[method-assign]
    turn = play(conversation, f"{CORGI}, no people")
    assert best(turn).negative_prompt == "people, blurry"
    edited = conversation.edit({"negative_prompt": "people"}, turn.state)
    assert best(edited).negative_prompt == "people"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"width": "many"}, "found 'many' for width; needed is a number"),
        ({"width": ""}, "the field width is empty"),
        ({"sampling_steps": 20.5}, "needed is a whole number"),
        ({"height": float("inf")}, "needed is a whole number"),
        ({"negative_prompt": "x" * 20_001}, "at most 20,000"),
    ],
)
def test_fields_that_cannot_be_read_change_nothing(
    conversation: Conversation, fields: dict[str, Any], said: str
) -> None:
    before = play(conversation, CORGI).state
    turn = conversation.edit(fields, before)
    assert turn.failed
    assert said in turn.answer
    assert turn.state == before
    assert conversation.edit(fields, State()).failed


def test_unusable_settings_are_brought_within_their_limits(conversation: Conversation) -> None:
    turn = play(conversation, CORGI, "9999x100", "999 steps", "cfg 99")
    api = best(turn)
    assert (api.width, api.height, api.sampling_steps, api.cfg_scale) == (2048, 256, 150, 30)
    assert "Sampling steps 999 became 150" in play(conversation, CORGI, "999 steps").answer
    unknown = conversation.edit({"sampling_method": "Magic"}, turn.state)
    assert best(unknown).sampling_method == "Euler a"
    assert "Magic" in unknown.answer


def test_many_chats_share_a_conversation(conversation: Conversation) -> None:
    wishes = {CORGI: "Pixel Art Helper", "neon streets": "[red]Night[/] City", "blocky games": "Free Pixels"}
    wrong: list[str] = []

    def run(wish: str, model: str) -> None:
        for _ in range(20):
            if best(play(conversation, wish, "wide")).model != model:
                wrong.append(wish)

    threads = [threading.Thread(target=run, args=pair) for pair in wishes.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str, given: str | None = None) -> Result:
    monkeypatch.setattr(chat_command, "make_selector", lambda *options: WordSelector(CATALOGUE))
    monkeypatch.setattr(chat_command, "load_catalogue", lambda path: CATALOGUE)
    return CliRunner().invoke(cli.app, ["chat", *arguments], input=given)


def test_the_command_plays_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, CORGI, "make it wide", "may I sell it?", "export air", "export infotext")
    assert result.exit_code == 0, result.output
    assert "· wide" in result.output
    assert "settings: 768x512" in result.output
    assert "Pixel Art Helper: no, its creator" in result.output
    assert "urn:air:sd1:lora:civitai:201@2011" in result.output
    assert "<lora:" in result.output


def test_the_command_reads_lines_until_quit(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(
        monkeypatch, given=f"help\nexport\n{CORGI}\n\nexport sheet music\nexport magic\n9\nquit\nwide\n"
    )
    assert result.exit_code == 0, result.output
    assert "Say what the picture should show, then change it" in result.output
    assert "model: Pixel Art Helper" in result.stdout
    assert "error: nothing is chosen yet" in result.stderr
    assert "error: there is no format 'magic'; it is one of infotext" in result.stderr
    assert "error: there is no number 9" in result.stderr
    assert "sheet music" in result.stdout, "it is no format, so it is added to the prompt"
    assert "settings: 768x512" not in result.output
    assert run(monkeypatch, given="").exit_code == 1


def asks(**arguments: Any) -> AIMessage:
    call = ToolCall(name="select_text_to_image_model", args=arguments, id="1", type="tool_call")
    return AIMessage(content="", tool_calls=[call])


def test_a_chat_model_drives_the_same_turns(selector: WordSelector) -> None:
    pytest.importorskip("langchain", reason="the extra `agents` is not installed")
    model = in_turn(
        asks(prompt=CORGI, k=2),
        AIMessage("Take Pixel Art Helper."),
        asks(prompt=CORGI, k=2, width=768),
        AIMessage("Now it is wide."),
    )
    talker = AgentConversation(model, selector, CATALOGUE)
    turn = talker.turn(CORGI, State())
    assert (turn.answer, best(turn).model, turn.chosen) == (
        "Take Pixel Art Helper.",
        "Pixel Art Helper",
        True,
    )
    assert [each.api.model_id for each in turn.state.found] == [201, 202]
    assert turn.understood == (f"select_text_to_image_model: prompt {CORGI}, k 2",)
    turn = talker.turn("make it wide", turn.state)
    assert best(turn).width == 768
    assert [message.text for message in model.read[2] if message.type == "human"] == [CORGI, "make it wide"]
    assert talker.turn(" ", turn.state).failed


def test_a_chat_model_that_fails_ends_neither_the_chat_nor_tells_a_key(
    selector: WordSelector, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("langchain", reason="the extra `agents` is not installed")
    monkeypatch.setenv("SOME_API_KEY", "sk-very-secret")

    def refuse(messages: list[BaseMessage]) -> AIMessage:
        raise RuntimeError("401: wrong key sk-very-secret\nask for another")

    state = State()
    turn = AgentConversation(ScriptedChat(reply=refuse), selector, CATALOGUE).turn(CORGI, state)
    assert turn.failed
    assert turn.state is state
    assert turn.answer.startswith("the chat model failed (RuntimeError: 401: wrong key ... ask for another)")


def test_a_chat_model_that_cannot_be_made_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("langchain", reason="the extra `agents` is not installed")
    with pytest.raises(InvalidInput, match="cannot be made"):
        chat_model("nobody:knows")
    result = run(monkeypatch, "--model", "nobody:knows", CORGI)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: the chat model 'nobody:knows' cannot be made")


def test_the_catalogue_of_the_command_is_the_one_that_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.app, ["chat", "--catalogue", str(tmp_path / "none.jsonl"), CORGI])
    assert result.exit_code == 2
    assert "none.jsonl" in result.stderr


def test_a_provider_that_fails_without_a_word_is_a_plain_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("langchain", reason="the extra `agents` is not installed")

    def fail(name: str, **given: Any) -> None:
        raise ValueError

    monkeypatch.setattr("langchain.chat_models.init_chat_model", fail)
    with pytest.raises(InvalidInput, match="write PROVIDER:MODEL"):
        chat_model("openai:any")
