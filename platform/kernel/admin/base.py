"""What every page of the console shares: writing through services, asking first, showing once."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import capfirst
from unfold.admin import ModelAdmin

from kernel.admin.bounded_lists import BoundedChangeList, BoundedPaginator
from kernel.admin.related_search import RelatedSearch, narrow_by_terms
from kernel.errors import PlatformError
from kernel.visible_text import validate_visible

REFUSAL = "_refusal"
CONFIRMED = "_confirmed"
MAX_ROWS_NAMED = 10
NO_JSON = 'This is not JSON. Write names and texts in double quotes: {"temperature": 0.2}'
SECRET = "_secret"  # noqa: S105 - where a request keeps it until it is shown, not a secret


def always(_row: object) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What an operator is asked before something happens.

    `applies` says whether there is anything to ask about a row; if not, its button is not shown,
    and whoever still comes to the page reads `otherwise`.
    """

    title: str
    explains: str
    verb: str
    dangerous: bool = False
    applies: Callable[[Any], bool] = always
    otherwise: str = "Nothing is to be done: it has changed meanwhile."


@dataclass(frozen=True, slots=True, kw_only=True)
class OneTimeSecret:
    """A secret on the one page that shows it, with a command that uses it."""

    title: str
    secret: str
    explains: str
    command: str


class NothingAsked(forms.Form):
    """For questions that are answered by yes or no."""


class ConsoleAdmin(ModelAdmin):
    """A page that stores through services and tells what they refuse as an error of the form."""

    list_per_page = 50
    paginator = BoundedPaginator
    show_full_result_count = False
    list_filter_submit = True
    when_empty = "Nothing is here yet."
    when_in_use = "Change or delete what uses it first."
    """What to do about a row that cannot be deleted because others use it."""
    list_title = ""
    """Of the list, if it is not called as its rows."""
    questions: Mapping[str, Question] = {}
    """By the name of an action of one row: its button is shown where the question applies."""
    related_search: RelatedSearch = {}
    """What a search also looks for in other tables. Then `search_fields` are whole lookups."""
    goes_along: frozenset[str] = frozenset()
    """What may be deleted together with a row, though it cannot be deleted by itself."""

    def store(self, *, row: models.Model, form: Any) -> models.Model:
        """Make the new `row` through a service. Returns what was stored."""
        raise NotImplementedError

    def restore(self, *, row: models.Model, form: Any) -> None:
        """Store the changed `row` through a service."""
        raise NotImplementedError

    def remove(self, *, row: models.Model) -> None:
        """Delete `row` through a service."""
        raise NotImplementedError

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        if change:
            self.restore(row=obj, form=form)
        else:
            # Django goes on with the object that it knows: it takes over what was stored.
            vars(obj).update(vars(self.store(row=obj, form=form)))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.remove(row=obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for row in queryset:
            self.remove(row=row)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """As Django's; a refusal of the service comes back as an error of the filled-in form."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except PlatformError as refusal:
            if hasattr(request, REFUSAL):
                raise
            setattr(request, REFUSAL, refusal)
            return super().changeform_view(request, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """As Django's; a refusal of the service is said above the list."""
        try:
            return super().delete_view(request, *args, **kwargs)
        except PlatformError as refusal:
            return self.refuse(request, refusal)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """As Django's; an action is done for all selected rows, or refused and done for none."""
        title = self.list_title or capfirst(self.opts.verbose_name_plural)
        context = {"title": title, **(extra_context or {})}
        if request.method != "POST":
            return super().changelist_view(request, context)
        try:
            with transaction.atomic():
                return super().changelist_view(request, context)
        except PlatformError as refusal:
            return self.refuse(request, refusal)

    def refuse(
        self, request: HttpRequest, refusal: PlatformError, *, row: Any = None
    ) -> HttpResponse:
        """Back to the row's page, or to the list, saying why nothing was done."""
        self.message_user(request, refusal.message, messages.ERROR)
        if row is not None:
            return HttpResponseRedirect(self.address_of(row))
        name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_changelist"
        return HttpResponseRedirect(reverse(name))

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> Any:
        """As Django's; references are looked up first, so that rows are found by indexes."""
        if not self.related_search:
            return super().get_search_results(request, queryset, search_term)
        own, related = self.search_fields, self.related_search
        return narrow_by_terms(queryset, search_term, own=own, related=related), False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[BoundedChangeList]:
        return BoundedChangeList

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """As Django's; what a filter is set to stays when another one is applied."""
        changes = super().get_changelist_instance(request)
        for each in changes.filter_specs:
            if each.template == "admin/filter.html":
                each.template = "console/filter.html"
                each.kept = [
                    (name, value)
                    for name in each.expected_parameters()
                    for value in request.GET.getlist(name)
                ]
        return changes

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """As unfold's; short texts are such as people can read, and JSON says how it is written."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if isinstance(db_field, models.JSONField) and field is not None:
            field.error_messages["invalid"] = NO_JSON
        elif isinstance(db_field, models.CharField) and hasattr(field, "validators"):
            field.validators = [*field.validators, validate_visible]
        return field

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **kwargs)
        refusal = getattr(request, REFUSAL, None)
        return with_refusal(form, refusal) if refusal else form

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        deleted, counts, lacking, protected = super().get_deleted_objects(objs, request)
        return deleted, counts, set(lacking) - self.goes_along, protected

    def ask_first(
        self,
        request: HttpRequest,
        object_id: str,
        *,
        question: Question,
        act: Callable[..., HttpResponse],
        form: type[forms.Form] = NothingAsked,
        context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a question; after a yes, and only by POST, `act(row, **answers)`."""
        row = self.find(request, object_id)
        if not question.applies(row):
            self.message_user(request, question.otherwise, messages.WARNING)
            return HttpResponseRedirect((context or {}).get("back") or self.address_of(row))
        filled = form(request.POST if request.method == "POST" else None)
        if filled.is_bound and filled.is_valid():
            try:
                return act(row, **filled.cleaned_data)
            except PlatformError as refusal:
                filled.add_error(None, refusal.message)
        return self.page(
            request,
            row,
            template="console/ask_first.html",
            context={"title": question.title, "question": question, "form": filled}
            | (context or {}),
        )

    def ask_about_selected(
        self,
        request: HttpRequest,
        rows: Iterable[Any],
        *,
        question: Question,
        act: Callable[[Any], bool],
        done: str,
    ) -> HttpResponse | None:
        """Show a question about the selected rows; after a yes `act` on each that it applies to.

        `act` returns whether it changed anything, and `done` says what was done to those it did.
        """
        meant = [row for row in rows if question.applies(row)]
        if CONFIRMED in request.POST:
            changed = sum(act(row) for row in meant)
            self.message_user(request, f"{done}: {changed:,}.")
            return None
        if not meant:
            self.message_user(request, "This applies to none of the selected.", messages.WARNING)
            return None
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": question.title,
            "question": question,
            "named": meant[:MAX_ROWS_NAMED],
            "unnamed": len(meant) - MAX_ROWS_NAMED,
            "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "action": request.POST.get("action", ""),
            "across": request.POST.get("select_across", "0"),
            "confirmed": CONFIRMED,
        }
        return TemplateResponse(request, "console/ask_about_selected.html", context)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """As unfold's, without the buttons of what does not apply to the row as it is."""
        buttons = super().get_actions_detail(request, object_id)
        row = self.get_object(request, str(object_id)) if self.questions else None
        if row is None:
            return buttons
        begins = f"{self.opts.app_label}_{self.opts.model_name}_"
        idle = {begins + name for name, each in self.questions.items() if not each.applies(row)}
        return [button for button in buttons if button.action_name not in idle]

    def page(
        self, request: HttpRequest, row: Any, *, template: str, context: dict[str, Any]
    ) -> TemplateResponse:
        """A page of the console about one row."""
        return TemplateResponse(
            request,
            template,
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "original": row,
                "subtitle": str(row),
                "back": self.address_of(row),
                **context,
            },
        )

    def find(self, request: HttpRequest, object_id: str) -> Any:
        """The row, for somebody who may change it. Raises Http404 or PermissionDenied."""
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return row

    def done(self, request: HttpRequest, row: Any, message: str) -> HttpResponse:
        """Back to the row's page, saying what happened."""
        self.log_change(request, row, message)
        self.message_user(request, message)
        return HttpResponseRedirect(self.address_of(row))

    def address_of(self, row: Any) -> str:
        name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_change"
        return reverse(name, args=(row.pk,))

    def show_once(self, request: HttpRequest, row: Any, shown: OneTimeSecret) -> HttpResponse:
        """The secret as the answer itself: in no cookie, session, log or cache."""
        answer = self.page(
            request,
            row,
            template="console/shown_once.html",
            context={"title": shown.title, "shown": shown},
        )
        answer["Cache-Control"] = "no-store"
        return answer


class ReadOnlyAdmin(ConsoleAdmin):
    """Rows that people read and nobody changes here."""

    # There are many of them: counting each choice of each filter would take its time.
    show_facets = ShowFacets.NEVER

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def add_refusals(form: Any, ensure: Callable[[Any], None], row: models.Model) -> None:
    """What `ensure` says against `row`, at the fields of `form` that are meant."""
    try:
        ensure(row)
    except PlatformError as refusal:
        form.add_error(refusal.param if refusal.param in form.fields else None, refusal.message)
    except ValidationError as refusal:
        found = refusal.message_dict if hasattr(refusal, "error_dict") else {"": refusal.messages}
        for field, messages_of_field in found.items():
            for message in messages_of_field:
                form.add_error(field if field in form.fields else None, message)


def with_refusal(form: type[forms.ModelForm[Any]], refusal: PlatformError) -> Any:
    """`form`, but it does not validate: it says what the service said."""

    class Refused(form):  # type: ignore[valid-type, misc]
        def clean(self) -> Any:
            answers = super().clean()
            self.add_error(refusal.param if refusal.param in self.fields else None, refusal.message)
            return answers

    return Refused
