"""Passing requests on to engines, and their answers back. Imports no model."""
