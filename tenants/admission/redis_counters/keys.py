"""Where admission keeps what in Redis. All keys of a tenant share a hash tag, so a cluster works.

`…:scope:<scope>`, a hash:
  `c` running requests; `tr` and `tt` theoretical arrival times of requests and of tokens, in µs
  since 1970; and for each quota window, under `<unit>:<window>`: `u:` used, `v:` version,
  `g:` granted, `h:` held.
`…:scopes`, a set: the names of all scopes that have a hash.
`…:holds`, a hash: request id -> its hold.
`…:expiries`, a sorted set: request id by the expiry of its hold, in µs since 1970.
`…:orphans`, a stream: holds whose worker died, to be billed.
`…:denied`, a hash: `tenant` or `key:<id>` -> why nothing is admitted for it any more.
`…:refusals`, a stream: the last refusals, for the console.
"""

DENIED_SECONDS = 3600
"""Longer than any gateway goes on with a key that it knows."""


def tenant_key(tenant_id: int, name: str) -> str:
    """The key of `holds`, `expiries`, `orphans`, `denied`, `scopes` or `refusals`."""
    return f"tenantry:{{{tenant_id}}}:{name}"


def scope_key(tenant_id: int, scope: str) -> str:
    """The key of a scope's counters; `scope` as `limits.scope_name` makes it."""
    return f"tenantry:{{{tenant_id}}}:scope:{scope}"
