"""How the console's templates write numbers, colour states and name pages."""

import json
from collections.abc import Sequence
from typing import Any

from django import template
from django.contrib import admin
from django.forms import BoundField
from django.template import Context
from django.utils.safestring import SafeString

from config.console.breadcrumbs import Crumb, Part, describe_path
from kernel.admin.formatting import BADGES, currency_words
from kernel.admin.formatting import separated as with_separators

register = template.Library()


@register.filter
def separated(number: int | None) -> str:
    """1,234,567"""
    return with_separators(number)


@register.filter
def currency(micro: int) -> str:
    """Millionths of the currency unit as 12.50"""
    return currency_words(micro)


@register.filter
def badge(state: str) -> str:
    """The colour of a state's badge."""
    return BADGES.get(state.lower(), "")


@register.simple_tag(takes_context=True)
def breadcrumbs(context: Context, parts: Sequence[Part]) -> list[Crumb]:
    """The path of the page, in the words of the sidebar."""
    return describe_path(parts, path=context["request"].path)


@register.filter
def labelled(field: BoundField) -> SafeString:
    """The field's input with its label as its accessible name, for where no label stands."""
    return field.as_widget(attrs={"aria-label": str(field.label)})


@register.simple_tag
def when_in_use(opts: Any) -> str:
    """What to do about rows that cannot be deleted because others use them."""
    model_admin: Any = admin.site.get_model_admin(opts.model)
    return str(model_admin.when_in_use)


@register.filter
def as_json(value: object) -> str:
    """A value as people read JSON. The template escapes it."""
    return json.dumps(value, indent=2, ensure_ascii=False)
