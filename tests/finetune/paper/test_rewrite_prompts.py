"""Rewriting concise prompts: what the chat model is shown, what is kept, and what a silent service does."""

from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field

from diffagent_tools.llm.chat_model import CachedChat
from finetune.paper.inputs import read_prompts
from finetune.paper.prompt_sets import RAW, read_sets
from finetune.paper.rewrite_prompts import EXAMPLES, PromptRewriter, usable
from finetune.paper.table1 import make_parser
from retrieval.errors import InvalidInput, ServiceError


class Busy(Exception):
    status_code = 503


class Refused(Exception):
    status_code = 401


class Chat(BaseChatModel):
    """Appends a style to the last message; raises what it is told to first."""

    errors: list[Any] = Field(default_factory=list)
    asked: list[list[BaseMessage]] = Field(default_factory=list)
    model: str = "toy"

    @property
    def _llm_type(self) -> str:
        return "toy"

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **options: Any
    ) -> ChatResult:
        self.asked.append(list(messages))
        if self.errors:
            raise self.errors.pop(0)
        last = str(messages[-1].text)
        said = "" if last == "silence" else f'Prompt: "{last}, soft light"'
        return ChatResult(generations=[ChatGeneration(message=AIMessage(said))])


def test_rewritten_once_and_kept(tmp_path: Path) -> None:
    chat = Chat()
    rewriter = PromptRewriter(CachedChat(chat, cache=tmp_path / "r.sqlite", workers=2))
    texts, how = rewriter(["a fox", "silence", "a lake"])
    assert texts == ["a fox, soft light", "silence", "a lake, soft light"]
    assert how == "rewritten by Chat toy with 4 examples, 1 left as they were"
    assert len(chat.asked[0]) == 2 + 2 * len(EXAMPLES)
    again = PromptRewriter(CachedChat(chat, cache=tmp_path / "r.sqlite"))
    assert again(["a fox"])[0] == ["a fox, soft light"]
    assert len(chat.asked) == 3


def test_a_busy_service_is_asked_again() -> None:
    chat = CachedChat(Chat(errors=[Busy(), Busy()]), sleep=lambda seconds: None)
    assert PromptRewriter(chat)(["a fox"])[0] == ["a fox, soft light"]


@pytest.mark.parametrize(
    ("errors", "message"),
    [
        ([Refused()], r"refuses with HTTP 401"),
        ([Busy()] * 5, r"does not rewrite every prompt \(no answer in 5 attempts\).*raw prompts are used"),
    ],
)
def test_a_service_that_refuses(errors: list[Exception], message: str) -> None:
    chat = CachedChat(Chat(errors=errors), sleep=lambda seconds: None, workers=1)
    with pytest.raises(ServiceError, match=message):
        PromptRewriter(chat)(["a fox", "a lake"])


def test_a_mistake_in_the_code_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        PromptRewriter(CachedChat(Chat(errors=[ZeroDivisionError()])))(["a fox"])


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("<think>a dog?</think> a dog, photo", "a dog, photo"),
        ('Prompt: "a dog,\n photo"', "a dog, photo"),
        ("", None),
        ("word " * 400, None),
    ],
)
def test_what_can_be_used_of_an_answer(said: str, text: str | None) -> None:
    assert usable(said) == text


def test_pairs_are_not_rewritten_and_sets_say_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text('{"prompt": "a fox", "model_id": 1}\n')
    (tmp_path / "captions.txt").write_text("a lake\n")
    paths = {"pairs": tmp_path / "pairs.jsonl", "coco": tmp_path / "captions.txt"}
    pairs, coco = read_sets(**paths, rewrite=PromptRewriter(CachedChat(Chat())))  # type: ignore[arg-type]
    assert (pairs.cases[0].prompt, pairs.prompts) == ("a fox", RAW)
    assert coco.cases[0].prompt == "a lake, soft light"
    assert coco.prompts.startswith("rewritten by Chat toy")
    assert read_sets(coco=paths["coco"])[0].prompts == RAW


def test_a_chat_model_that_cannot_be_had(tmp_path: Path) -> None:
    (tmp_path / "captions.txt").write_text("a lake\n")
    given = ["--coco", str(tmp_path / "captions.txt"), "--rewrite-with", "nobody:nothing"]
    with pytest.raises(InvalidInput, match="'nobody:nothing' cannot be made"):
        read_prompts(make_parser().parse_args(given))
