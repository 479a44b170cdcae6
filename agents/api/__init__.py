"""The management API of this context."""
