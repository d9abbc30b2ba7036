"""The agent of examples/agent.py on a chat model of langchain-community: no package of a provider.

    pip install "diffagent-tools[agents]"
    python examples/agent_community.py --model qwen3 --url http://localhost:11434/v1/chat/completions

`ChatDeepInfra` speaks the OpenAI protocol to any address (Ollama, llama.cpp, vLLM), tools included.
langchain-community is being sunset and warns of it; prefer examples/agent.py where you can.
"""

import argparse
import sys
from pathlib import Path

from langchain_community.chat_models import ChatDeepInfra
from langchain_core.language_models import BaseChatModel

sys.path.insert(0, str(Path(__file__).parent))

from agent import TURNS, build_agent, converse, show


def community_model(name: str, url: str, api_key: str = "none") -> BaseChatModel:
    """A chat model behind an OpenAI-compatible address that ends in /chat/completions."""
    return ChatDeepInfra(model=name, url=url, deepinfra_api_token=api_key, temperature=0.0, max_tokens=1024)


def main() -> None:
    """Reads the command line and plays three turns, or those that are given."""
    parser = argparse.ArgumentParser(description="Choose an image model in a chat (langchain-community).")
    parser.add_argument("turns", nargs="*", default=TURNS)
    parser.add_argument("--model", required=True)
    parser.add_argument("--url", required=True, help="ends in /chat/completions")
    parser.add_argument("--api-key", default="none")
    options = parser.parse_args()
    model = community_model(options.model, options.url, options.api_key)
    for turn in converse(build_agent(model), options.turns):
        show(*turn)


if __name__ == "__main__":
    main()
