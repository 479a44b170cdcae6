"""How an agent runs, free of any framework. Imports no model."""
