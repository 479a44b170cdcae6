"""The endpoints that tenants call: ASGI callables and a socket consumer. Imports no model."""
