"""Runs the whole stack on one machine, with PostgreSQL, Valkey and a small model from wheels."""
