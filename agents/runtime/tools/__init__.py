"""The kinds of tools, one module or folder each."""
