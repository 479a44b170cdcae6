"""Who may do how much: tenants, members, API keys, the ledger."""

from django.apps import AppConfig


class TenantsConfig(AppConfig):
    name = "tenants"
    verbose_name = "Tenants"
