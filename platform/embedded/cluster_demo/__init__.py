"""`make demo-cluster`: three agent nodes, of which one is killed under work."""
