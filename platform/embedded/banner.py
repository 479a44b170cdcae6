"""The message in the terminal when the stack is ready."""

from collections.abc import Mapping

BANNER = """
Tenantry is ready ({seconds:.0f} s).

  Console    {TENANTRY_CONSOLE_URL}/admin/
  Operator   {TENANTRY_OPERATOR}
  Password   {TENANTRY_OPERATOR_PASSWORD}

  Gateway    {TENANTRY_GATEWAY_URL}/v1
  API key    {TENANTRY_API_KEY}
  Models     {TENANTRY_AGENT} (an agent), {TENANTRY_MODEL} (the model that it uses)

Try it:

  curl -N {TENANTRY_GATEWAY_URL}/v1/chat/completions \\
    -H 'Authorization: Bearer {TENANTRY_API_KEY}' \\
    -H 'Content-Type: application/json' \\
    -d '{{"model": "{TENANTRY_AGENT}", "stream": true,
         "messages": [{{"role": "user", "content": "Hello! Who are you?"}}]}}'

Ctrl-C stops everything. The data is kept for the next start.
"""


def banner(values: Mapping[str, str], *, seconds: float) -> str:
    """Return the message; `values` are those of `demo.env`."""
    return BANNER.format(seconds=seconds, **values)
