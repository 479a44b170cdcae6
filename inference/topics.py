"""Under which names changes are published."""

FLEET = "fleet"
"""Routes, pools and endpoints: what gateways serve from."""
