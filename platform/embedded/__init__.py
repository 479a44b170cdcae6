"""PostgreSQL, Valkey and a small language model from wheels, and what keeps them running together."""
