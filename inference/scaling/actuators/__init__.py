"""What starts and stops replicas."""
