"""Select, check and search for machines: one set of operations behind LangChain and MCP."""
