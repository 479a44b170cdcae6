"""How pages of the fleet find back to each other."""

FROM = "from"
"""The parameter that says from where an action was chosen: `fleet`, or `pool` for a pool's."""
