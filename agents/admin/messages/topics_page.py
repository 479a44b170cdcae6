"""The page of all topics, with their subscribers and rates."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.widgets import UnfoldAdminTextInputWidget

from agents.messages.topics import MAX_TOPICS, Topic, list_topics

MAX_SUBSCRIBERS_SHOWN = 5
WHEN_EMPTY = (
    "No topics. A topic exists because an agent subscribes to it: enter its name under "
    "subscriptions on the agent's page."
)


class TopicFilterForm(forms.Form):
    tenant = forms.SlugField(
        required=False, max_length=50, label="Tenant", widget=UnfoldAdminTextInputWidget
    )
    topic = forms.CharField(
        required=False, max_length=63, label="Topic begins with", widget=UnfoldAdminTextInputWidget
    )


def show_topics(request: HttpRequest) -> HttpResponse:
    """Render the topics of the filter."""
    form = TopicFilterForm(request.GET)
    chosen = form.cleaned_data if form.is_valid() else {}
    topics = list_topics(
        now=timezone.now(), tenant=chosen.get("tenant", ""), prefix=chosen.get("topic", "")
    )
    context = {
        **admin.site.each_context(request),
        "title": "Topics",
        "form": form,
        "topics": [view_topic(topic) for topic in topics],
        "is_filtered": any(chosen.values()),
        "when_empty": WHEN_EMPTY,
        "limit": MAX_TOPICS if len(topics) == MAX_TOPICS else 0,
    }
    return TemplateResponse(request, "agents/topics.html", context)


def view_topic(topic: Topic) -> dict[str, Any]:
    """Format a topic."""
    shown = ", ".join(topic.subscribers[:MAX_SUBSCRIBERS_SHOWN])
    rest = len(topic.subscribers) - MAX_SUBSCRIBERS_SHOWN
    query = urlencode({"topic": topic.name, "tenant__id__exact": topic.tenant_id})
    return {
        "topic": topic,
        "subscribers": f"{shown} and {rest} more" if rest > 0 else shown,
        "address": f"{reverse('admin:agents_agentmessage_changelist')}?{query}",
    }
