"""PostgreSQL, Valkey and a small language model from wheels, kept running together."""
