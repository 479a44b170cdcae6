"""The events of a run and the dialects they are told in. Imports no model."""
