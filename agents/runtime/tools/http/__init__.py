"""HTTP requests as tools: entered by hand, or imported from an OpenAPI document."""
