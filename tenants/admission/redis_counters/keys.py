"""The Redis keys of admission. Keys of a tenant share a hash tag, for Redis Cluster.

`…:scope:<scope>`, a hash:
  `c` running requests; `tr` and `tt` theoretical arrival times of requests and of tokens, in µs
  since 1970; and for each quota window, under `<unit>:<window>`: `u:` used, `v:` version,
  `g:` granted, `h:` held.
`…:scopes`, a set: the names of all scopes that have a hash.
`…:holds`, a hash: request id -> its hold.
`…:expiries`, a sorted set: request id by the expiry of its hold, in µs since 1970.
`…:orphans`, a stream: abandoned holds, whose worker died, to be billed.
`…:denied`, a hash: `tenant` or `key:<id>` -> the reason to refuse its requests.
`…:refusals`, a stream: the last refusals, for the console.
"""

DENIED_SECONDS = 3600
"""Longer than the maximum age of an API key in a gateway's cache."""


def tenant_key(tenant_id: int, name: str) -> str:
    """Return the key of `holds`, `expiries`, `orphans`, `denied`, `scopes` or `refusals`."""
    return f"tenantry:{{{tenant_id}}}:{name}"


def scope_key(tenant_id: int, scope: str) -> str:
    """Return the key of a scope's counters; `scope` is a result of `rules.scope_name`."""
    return f"tenantry:{{{tenant_id}}}:scope:{scope}"
