"""What a gateway knows of the fleet, and how it chooses an endpoint. Imports no model."""
