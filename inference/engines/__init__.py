"""How each kind of engine is started, asked whether it is ready, and what its metrics are called."""
