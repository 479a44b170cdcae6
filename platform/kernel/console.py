"""What every page of the console shares: writing through services, asking first, showing once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin

from kernel.errors import PlatformError

REFUSAL = "_refusal"
SECRET = "_secret"  # noqa: S105 - where a request keeps it until it is shown, not a secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What an operator is asked before something happens."""

    title: str
    explains: str
    verb: str
    dangerous: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
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
    show_full_result_count = False
    list_filter_submit = True
    when_empty = "Nothing is here yet."
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

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """As Django's; an action is done for all selected rows, or refused and done for none."""
        if request.method != "POST":
            return super().changelist_view(request, *args, **kwargs)
        try:
            with transaction.atomic():
                return super().changelist_view(request, *args, **kwargs)
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

    def show_once(self, request: HttpRequest, row: Any, shown: Shown) -> HttpResponse:
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
