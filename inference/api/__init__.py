"""The management API of this context, and the address where engines register."""
