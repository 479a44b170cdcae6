"""The asynchronous side: who calls, may they, and what did it cost. Imports no model."""
