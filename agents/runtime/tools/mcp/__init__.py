"""Tools of MCP servers. The official library is an extra: nothing here imports it but `session`."""
