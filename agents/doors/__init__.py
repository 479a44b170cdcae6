"""What tenants call: plain ASGI callables and one socket consumer. Imports no model."""
