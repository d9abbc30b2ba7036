"""Uvicorn's protocol with bounds, under a name that worker processes can import."""

from diffagent_tools.http_guard import bounded

Bounded = bounded()
