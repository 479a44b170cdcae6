"""Tools of MCP servers. The official library is an extra, imported with `session`."""
