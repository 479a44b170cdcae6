"""Starts engines of each kind, and keeps them registered at the console."""
