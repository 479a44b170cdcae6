"""The scripts with one line broken each: what the tests of the scripts must notice."""

from dataclasses import dataclass

from tenants.admission.redis_counters.scripts import (
    ADMIT,
    EXTEND,
    REAP,
    RECOUNT,
    RENEW,
    SEED,
    SETTLE,
    Script,
)

SCRIPTS = (ADMIT, RENEW, EXTEND, SETTLE, SEED, REAP, RECOUNT)


@dataclass(frozen=True)
class Mutant:
    """In every script that has the line `old`, it reads `new`."""

    name: str
    old: str
    new: str

    def scripts(self) -> dict[str, Script]:
        return {
            each.name: Script(each.name, each.text.replace(self.old, self.new, 1))
            for each in SCRIPTS
            if self.old in each.text
        }


MUTANTS = (
    Mutant(
        "a settled hold still expires",
        "    call('ZREM', expiries, id)\n    local progress",
        "    local progress",
    ),
    Mutant(
        "totals are set without a look at the version",
        "if tonumber(known[2] or -1) < version then",
        "if true then",
    ),
    Mutant("settling creates a lost counter", "    if known[1] then\n", "    if true then\n"),
    Mutant(
        "the version of a lost counter is not noted",
        "      call('HSET', key, 'v:' .. field, whole(version))\n",
        "",
    ),
    Mutant(
        "settling frees no slot",
        "tonumber(before[1] or 0) - change.ended",
        "tonumber(before[1] or 0)",
    ),
    Mutant(
        "settling takes no notice of who removed the hold",
        "if packed and call('HDEL', holds, id) == 1 then",
        "if packed then",
    ),
    Mutant("settling keeps what was held", "- change.amounts[string.sub(names[n], 3)]", ""),
    Mutant(
        "a hold replaces those before it", "quota.held = quota.held + takes", "quota.held = takes"
    ),
    Mutant(
        "holds do not count against the limit",
        "quota.extra - quota.used - quota.held\n",
        "quota.extra - quota.used\n",
    ),
    Mutant(
        "one request too many runs",
        "scope.running >= scope[CONCURRENCY]",
        "scope.running > scope[CONCURRENCY]",
    ),
    Mutant("missing is zero", "    if not values[at + 1] then\n", "    if false then\n"),
    Mutant("the same request is admitted twice", "if known then\n", "if false then\n"),
    Mutant(
        "the rest of a quota is rounded up",
        "return floor((room * MILLION",
        "return 1 + floor((room * MILLION",
    ),
    Mutant(
        "the reaper frees no slot",
        "count_running(checks, -1)\n      end\n      progress[PHASE]",
        "count_running(checks, 0)\n      end\n      progress[PHASE]",
    ),
    Mutant("the reaper does not mark what it found", "      progress[PHASE] = ORPHANED\n", ""),
    Mutant(
        "whoever comes back does not run again",
        "        count_running(checks, 1)\n      end\n      put_hold",
        "      end\n      put_hold",
    ),
    Mutant(
        "a hold made anew does not run",
        "if progress[PHASE] == RUNNING then count_running(checks, 1) end",
        "",
    ),
    Mutant("a hold made anew holds nothing", "  hold_more(checks, amounts)\n", ""),
    Mutant(
        "an ended request still runs", "if was == RUNNING then count_running(checks, -1) end", ""
    ),
    Mutant("an ended request holds what it had", "  hold_more(checks, amounts, before)\n", ""),
    Mutant(
        "an extension counts its own hold against itself", "+ held[q] - amounts[q]\n", "+ held[q]\n"
    ),
    Mutant(
        "an old state is seeded",
        "if newest < version or (newest == version and not known[1]) then",
        "if true then",
    ),
    Mutant(
        "a request on the last moment of the burst is refused",
        "arrival - now <= scope[REQUEST_BURST]",
        "arrival - now < scope[REQUEST_BURST]",
    ),
    Mutant(
        "a clock that went back locks out",
        "min(max(tonumber(values[2] or 0), now), now + scope[REQUEST_BURST])",
        "max(tonumber(values[2] or 0), now)",
    ),
    Mutant(
        "debts of tokens have no end",
        "min(max(tonumber(values[3] or 0), now), now + 2 * scope[TOKEN_BURST])",
        "max(tonumber(values[3] or 0), now)",
    ),
    Mutant(
        "more than the burst never passes",
        "min(ceil(rate_tokens * scope[TOKEN_US]), scope[TOKEN_BURST])",
        "ceil(rate_tokens * scope[TOKEN_US])",
    ),
    Mutant(
        "what was not charged is given back",
        "if took == NOTHING or actual == NOTHING then return 0 end",
        "if actual == NOTHING then return 0 end",
    ),
    Mutant("late calls are obeyed", "if now > deadline then return {id, LATE, now} end", ""),
    Mutant(
        "the shortest breach is told",
        "not worst or wait > worst[4]",
        "not worst or wait < worst[4]",
    ),
    Mutant(
        "a wrong window passes",
        "or now >= quota[END] * MILLION then moved = true end",
        "then moved = false end",
    ),
)
