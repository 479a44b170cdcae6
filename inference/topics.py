"""Topics of published changes."""

FLEET = "fleet"
"""Routes, pools and endpoints, which gateways load."""
