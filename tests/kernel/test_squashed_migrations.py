"""A new database gets each context's tables in one step; the steps before it make the same."""

from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from tests.load import stack

STEP_BY_STEP = """
import django; django.setup()
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
executor = MigrationExecutor(connection)
executor.loader = MigrationLoader(connection, replace_migrations=False)
leaves = executor.loader.graph.leaf_nodes()
executor.migrate([key for key in leaves if "squashed" not in key[1]])
"""
PARTS = {
    "columns": """
        SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull,
               attidentity, pg_get_expr(adbin, adrelid)
        FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid AND relkind = 'r'
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped""",
    "indexes": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace""",
    "triggers": "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "functions": "SELECT prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
}


def rows(cursor, query):
    cursor.execute(query)
    return set(cursor.fetchall())


def schema(cursor):
    return {part: rows(cursor, query) for part, query in PARTS.items()}


@pytest.fixture
def stepped(transactional_db):
    """The URL of another database on the same server; it is empty."""
    with connection._nodb_cursor() as cursor:
        cursor.execute("CREATE DATABASE step_by_step")
        yield urlsplit(settings.DATABASE_URL)._replace(path="/step_by_step").geturl()
        cursor.execute("DROP DATABASE step_by_step WITH (FORCE)")


@pytest.mark.nightly
@pytest.mark.timeout(300)
def test_the_steps_make_the_same_tables(stepped, tmp_path):
    env = stack.environment(tmp_path, stepped, settings.REDIS_URL)
    stack.finish(env, "-c", STEP_BY_STEP)

    with psycopg.connect(stepped) as database, connection.cursor() as cursor:
        assert schema(database.cursor()) == schema(cursor)
    # Whoever went the steps has nothing more to do.
    stack.manage(env, "migrate", "--check", "--verbosity", "0")
