"""Relays requests to engines and their responses to clients. Imports no Django model."""
