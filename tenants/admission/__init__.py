"""Admission of requests in gateways: authentication, limits and usage. Imports no model."""
