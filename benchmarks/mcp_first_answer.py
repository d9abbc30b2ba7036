"""How long an MCP client waits: for the tools, the first answer (models load), and the following ones.

    python benchmarks/mcp_first_answer.py
    python benchmarks/mcp_first_answer.py --mode retrieval      # options of `diffagent mcp`

Starts `diffagent mcp` as a client does, over standard input and output. The caches must be warm.
"""

import asyncio
import os
import sys
import time
from typing import Any

from mcp import Client
from mcp.client.stdio import StdioServerParameters

CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("select", {"prompt": "A cute happy corgi, pixel art"}),
    ("select", {"prompt": "a lighthouse in a storm, watercolor"}),
    ("check", {"api": "Dream Shapper"}),
    ("search", {"query": "watercolor"}),
    ("search", {"query": "pixel art"}),
)


async def measure(options: list[str]) -> None:
    """Prints a line a step."""
    arguments = ["-m", "diffagent_tools", "mcp", *options]
    began = time.perf_counter()
    server = StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ))
    async with Client(server) as client:
        await client.list_tools()
        print(f"tools listed after {time.perf_counter() - began:.1f} s")
        for name, call in CALLS:
            asked = time.perf_counter()
            result = await client.call_tool(name, call)
            ended = time.perf_counter()
            said = "an error" if result.is_error else "answered"
            print(f"{name}: {said} in {ended - asked:.2f} s, {ended - began:.1f} s after the start")


if __name__ == "__main__":
    asyncio.run(measure(sys.argv[1:]))
