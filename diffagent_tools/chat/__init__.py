"""A talk: the grammar of wishes, the standing request, replies, the agent."""
