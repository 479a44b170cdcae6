"""Measures the console's pages and API calls on a database that `manage.py seed_scale` has filled.

Run with the console's environment: `python tests/load/pages.py [WORD …]`; words choose pages by
name. Prints milliseconds (best of three), queries, milliseconds in PostgreSQL, the rows that were
looked at, and tables of millions that were read as a whole.
"""

import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TRIES = 3


def main(words: list[str]) -> None:
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.console")
    import django

    django.setup()
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext, setup_test_environment

    from tenants.models import User
    from tests.fixtures.console import large_pages

    setup_test_environment()
    client = Client()
    client.force_login(User.objects.create_superuser(f"measurer-{time.time_ns()}"))
    facts = large_pages.facts()
    pages = {**large_pages.LISTS, **large_pages.PAGES, **large_pages.SUMS}
    print(f"{'page':38}{'ms':>7}{'queries':>9}{'SQL ms':>8}{'rows':>10}  whole")
    for name, address in pages.items():
        if words and not any(word in name for word in words):
            continue
        best = None
        for _ in range(TRIES):
            with CaptureQueriesContext(connection) as captured:
                began = time.perf_counter()
                answer = client.get(address.format(**facts))
                spent = 1000 * (time.perf_counter() - began)
            in_sql = sum(1000 * float(query["time"]) for query in captured.captured_queries)
            best = min(best or (spent, in_sql), (spent, in_sql))
        reads = large_pages.reads_of(captured)
        whole = {each.table for each in reads if each.is_whole} & {*large_pages.APPENDED}
        print(
            f"{name:38}{best[0]:7.0f}{len(captured):9}{best[1]:8.0f}"
            f"{sum(each.rows for each in reads):10,}  {' '.join(sorted(whole))}"
            f"{'' if answer.status_code == 200 else answer.status_code}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
