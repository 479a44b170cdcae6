"""The management API of this context, and the internal API of engines."""
