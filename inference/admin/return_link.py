"""The query parameter by which a confirmation page returns to a page of the fleet."""

FROM_PARAMETER = "from"
"""Names the page of the action's button: `fleet`, or `pool` for the page of one pool."""
