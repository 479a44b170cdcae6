"""Template tags and filters of the console: numbers, badges, breadcrumbs, JSON."""

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
    """Format a number with thousands separators: 1,234,567."""
    return with_separators(number)


@register.filter
def currency(micro: int) -> str:
    """Format millionths of the currency unit: 12.50."""
    return currency_words(micro)


@register.filter
def badge(state: str) -> str:
    """Return the colour of a state's badge."""
    return BADGES.get(state.lower(), "")


@register.simple_tag(takes_context=True)
def breadcrumbs(context: Context, parts: Sequence[Part]) -> list[Crumb]:
    """Return the path of the page, in the words of the sidebar."""
    return describe_path(parts, path=context["request"].path)


@register.filter
def labelled(field: BoundField) -> SafeString:
    """Return the field's input with its label as accessible name, for forms without labels."""
    return field.as_widget(attrs={"aria-label": str(field.label)})


@register.simple_tag
def when_in_use(opts: Any) -> str:
    """Return advice about rows that cannot be deleted because others refer to them."""
    model_admin: Any = admin.site.get_model_admin(opts.model)
    return str(model_admin.when_in_use)


@register.filter
def as_json(value: object) -> str:
    """Return a value as indented JSON. The template escapes it."""
    return json.dumps(value, indent=2, ensure_ascii=False)
