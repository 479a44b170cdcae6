"""Search of a list by referenced rows, without joins.

PostgreSQL combines indexes for conditions on one table. A condition on a joined table makes it
read every row.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import ForeignKey, Model, Q, QuerySet
from django.utils.text import smart_split, unescape_string_literal

MAX_REFERENCES = 100
"""Maximum matches in the other table that become a list of ids."""

RelatedSearch = Mapping[str, Sequence[str]]
"""Lookups in the other table by name of the reference: `{"tenant": ("slug__exact",)}`."""


def narrow_by_terms(
    rows: QuerySet[Any], text: str, *, own: Sequence[str], related: RelatedSearch
) -> QuerySet[Any]:
    """Return the rows that match `text`, or every term of it.

    The whole text is a term, too, because names have blanks and are searched by their beginning.
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
    """Terms as in Django's search: words and quoted texts."""
    return [
        unescape_string_literal(bit) if bit[0] in "\"'" and bit[0] == bit[-1] else bit
        for bit in smart_split(text)
    ]


def any_of(lookups: Sequence[str], term: str) -> Q:
    return Q.create([(lookup, term) for lookup in lookups], connector=Q.OR)


def references_to(model: type[Model], name: str, condition: Q) -> Q:
    """Return rows of `model` whose reference `name` meets the condition."""
    field: ForeignKey[Any, Any] = model._meta.get_field(name)  # type: ignore[assignment]  # noqa: SLF001
    matching = field.related_model._base_manager.filter(condition)  # noqa: SLF001
    found = list(matching.order_by().values_list("pk", flat=True)[: MAX_REFERENCES + 1])
    few = len(found) <= MAX_REFERENCES
    return Q((f"{name}__in", found if few else matching.order_by().values("pk")))
