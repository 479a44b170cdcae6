"""The execution of agents, independent of any framework. Imports no Django model."""
