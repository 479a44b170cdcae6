"""The events of a run, and the API formats that they are rendered in. Imports no model."""
