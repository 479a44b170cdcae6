"""The fleet in a gateway, and the choice of endpoints. Imports no Django model."""
