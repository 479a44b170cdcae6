"""The base of console pages: writes through services, confirmations, one-time secrets."""

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
SECRET = "_secret"  # noqa: S105 - the name of an attribute, not a secret


def always(_row: object) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A confirmation that an operator must give before an action.

    `applies` returns whether the action applies to a row. If not, its button is hidden, and the
    page displays `otherwise`.
    """

    title: str
    explains: str
    verb: str
    dangerous: bool = False
    applies: Callable[[Any], bool] = always
    otherwise: str = "There is nothing to do: the object has changed meanwhile."


@dataclass(frozen=True, slots=True, kw_only=True)
class OneTimeSecret:
    """A secret that one page displays once, with a command that uses it."""

    title: str
    secret: str
    explains: str
    command: str


class EmptyForm(forms.Form):
    """The form of confirmations without fields."""


class ConsoleAdmin(ModelAdmin):
    """An admin that writes through services and displays their errors in the form."""

    list_per_page = 50
    paginator = BoundedPaginator
    show_full_result_count = False
    list_filter_submit = True
    when_empty = "Nothing is here yet."
    when_in_use = "Change or delete what uses it first."
    """Advice for a row that cannot be deleted because others refer to it."""
    list_title = ""
    """Title of the list, if it differs from the plural name of the rows."""
    questions: Mapping[str, Question] = {}
    """Confirmations by action of a row. The button is displayed if the confirmation applies."""
    related_search: RelatedSearch = {}
    """Lookups of the search in other tables. Then `search_fields` are complete lookups."""
    deleted_together: frozenset[str] = frozenset()
    """Models whose rows may be deleted together with a row, but not separately."""

    def create_row(self, *, row: models.Model, form: Any) -> models.Model:
        """Create `row` through a service. Returns the stored row."""
        raise NotImplementedError

    def update_row(self, *, row: models.Model, form: Any) -> None:
        """Update `row` through a service."""
        raise NotImplementedError

    def delete_row(self, *, row: models.Model) -> None:
        """Delete `row` through a service."""
        raise NotImplementedError

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        if change:
            self.update_row(row=obj, form=form)
        else:
            # Django continues with its own object, so that gets the values of the stored row.
            vars(obj).update(vars(self.create_row(row=obj, form=form)))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.delete_row(row=obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for row in queryset:
            self.delete_row(row=row)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Extend Django's view: an error of the service is displayed in the filled-in form."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except PlatformError as refusal:
            if hasattr(request, REFUSAL):
                raise
            setattr(request, REFUSAL, refusal)
            return super().changeform_view(request, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Extend Django's view: an error of the service is displayed above the list."""
        try:
            return super().delete_view(request, *args, **kwargs)
        except PlatformError as refusal:
            return self.refuse(request, refusal)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Extend Django's view: an action changes all selected rows, or none if it fails."""
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
        """Redirect to the row's page, or to the list, with the error as a message."""
        self.message_user(request, refusal.message, messages.ERROR)
        if row is not None:
            return HttpResponseRedirect(self.address_of(row))
        name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_changelist"
        return HttpResponseRedirect(reverse(name))

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> Any:
        """Extend Django's search: references are looked up first, so that indexes are used."""
        if not self.related_search:
            return super().get_search_results(request, queryset, search_term)
        own, related = self.search_fields, self.related_search
        return narrow_by_terms(queryset, search_term, own=own, related=related), False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[BoundedChangeList]:
        return BoundedChangeList

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Extend Django's list: a filter keeps its value when another one is applied."""
        changes = super().get_changelist_instance(request)
        for each in changes.filter_specs:
            if each.template == "admin/filter.html":
                each.template = "console/filter.html"
                each.other_parameters = [
                    (name, value)
                    for name in each.expected_parameters()
                    for value in request.GET.getlist(name)
                ]
        return changes

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Extend unfold's fields: short texts refuse invisible characters, JSON is explained."""
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
        return deleted, counts, set(lacking) - self.deleted_together, protected

    def confirm(
        self,
        request: HttpRequest,
        object_id: str,
        *,
        question: Question,
        act: Callable[..., HttpResponse],
        form: type[forms.Form] = EmptyForm,
        context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a confirmation page; after a POST call `act(row, **answers)`."""
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
            template="console/confirm.html",
            context={"title": question.title, "question": question, "form": filled}
            | (context or {}),
        )

    def confirm_selected(
        self,
        request: HttpRequest,
        rows: Iterable[Any],
        *,
        question: Question,
        act: Callable[[Any], bool],
        done: str,
    ) -> HttpResponse | None:
        """Show a confirmation for the selected rows; then call `act` for each that it applies to.

        `act` returns whether it changed the row; `done` is the message with their number.
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
        return TemplateResponse(request, "console/confirm_selected.html", context)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """Extend unfold's buttons: those of actions that do not apply to the row are left out."""
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
        """Return a page of the console about one row."""
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
        """Return the row if the user may view it. Raises Http404 or PermissionDenied."""
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return row

    def redirect_with_message(self, request: HttpRequest, row: Any, message: str) -> HttpResponse:
        """Redirect to the row's page with a message."""
        self.log_change(request, row, message)
        self.message_user(request, message)
        return HttpResponseRedirect(self.address_of(row))

    def address_of(self, row: Any) -> str:
        name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_change"
        return reverse(name, args=(row.pk,))

    def show_once(self, request: HttpRequest, row: Any, secret: OneTimeSecret) -> HttpResponse:
        """Put the secret into the response itself, so that no cookie, session or cache has it."""
        answer = self.page(
            request,
            row,
            template="console/one_time_secret.html",
            context={"title": secret.title, "secret": secret},
        )
        answer["Cache-Control"] = "no-store"
        return answer


class ReadOnlyAdmin(ConsoleAdmin):
    """Rows that the console displays but does not change."""

    # Large tables: counting each choice of each filter would take too long.
    show_facets = ShowFacets.NEVER

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def add_refusals(form: Any, ensure: Callable[[Any], None], row: models.Model) -> None:
    """Add the errors of `ensure(row)` to the fields of `form`."""
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
    """Return a subclass of `form` that fails with the error of the service."""

    class Refused(form):  # type: ignore[valid-type, misc]
        def clean(self) -> Any:
            answers = super().clean()
            self.add_error(refusal.param if refusal.param in self.fields else None, refusal.message)
            return answers

    return Refused
