"""Actuators: they start and stop the replicas of a pool."""
