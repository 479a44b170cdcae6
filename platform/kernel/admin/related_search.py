"""Search of a list by what its rows refer to, without joining the tables.

PostgreSQL combines indexes for conditions on one table. A condition on a joined one forces it to
look at every row.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import ForeignKey, Model, Q, QuerySet
from django.utils.text import smart_split, unescape_string_literal

MAX_REFERENCES = 100
"""Matches of a term in the other table that are named one by one. Of more, rows are found soon."""

RelatedSearch = Mapping[str, Sequence[str]]
"""By the name of a reference the lookups in its table: `{"tenant": ("slug__exact",)}`."""


def narrow_by_terms(
    rows: QuerySet[Any], text: str, *, own: Sequence[str], related: RelatedSearch
) -> QuerySet[Any]:
    """The rows that match `text` or every term of it, by a lookup of `own` or through a reference.

    As a whole too, because names have blanks and are looked for by their beginning.
    """
    terms = split_terms(text)
    matches = Q.create([match_of(rows.model, term, own=own, related=related) for term in terms])
    if len(terms) > 1:
        matches |= match_of(rows.model, text.strip(), own=own, related=related)
    return rows.filter(matches)


def match_of(model: type[Model], term: str, *, own: Sequence[str], related: RelatedSearch) -> Q:
    matches = any_of(own, term)
    for name, lookups in related.items():
        matches |= references_to(model, name, any_of(lookups, term))
    return matches


def split_terms(text: str) -> list[str]:
    """As Django's search: words, and what stands in quotes."""
    return [
        unescape_string_literal(bit) if bit[0] in "\"'" and bit[0] == bit[-1] else bit
        for bit in smart_split(text)
    ]


def any_of(lookups: Sequence[str], term: str) -> Q:
    return Q.create([(lookup, term) for lookup in lookups], connector=Q.OR)


def references_to(model: type[Model], name: str, condition: Q) -> Q:
    """Rows of `model` whose reference `name` leads to a row that meets the condition."""
    field: ForeignKey[Any, Any] = model._meta.get_field(name)  # type: ignore[assignment]  # noqa: SLF001
    matching = field.related_model._base_manager.filter(condition)  # noqa: SLF001
    found = list(matching.order_by().values_list("pk", flat=True)[: MAX_REFERENCES + 1])
    few = len(found) <= MAX_REFERENCES
    return Q((f"{name}__in", found if few else matching.order_by().values("pk")))
