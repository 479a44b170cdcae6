"""Scaling of pools: a policy decides, a rehearsal simulates it, an actuator applies it."""
