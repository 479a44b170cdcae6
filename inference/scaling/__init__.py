"""How a pool grows and shrinks: decided by policy, rehearsed, and carried out by an actuator."""
