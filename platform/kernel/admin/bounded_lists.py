"""Lists of the console over large tables: counting, paging and sorting are bounded."""

from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.paginator import InfinitePaginator
from unfold.views import ChangeList

MAX_ROWS_PAGED = 10_000
"""Maximum rows of a list. PostgreSQL reads all rows before those of a page."""


class MoreRows(int):
    """A count that stopped at the maximum; pages display it as text."""

    def __str__(self) -> str:
        return f"more than {MAX_ROWS_PAGED:,}"


class BoundedPaginator(Paginator[Any]):
    """Pages through the first MAX_ROWS_PAGED rows, and counts no more."""

    template_name = "console/pagination.html"

    @cached_property
    def first_rows(self) -> list[Any]:
        """Read one row more than the first page, so that a single page needs no count.

        Counting the rows of a search takes as long as finding them.
        """
        return list(self.object_list[: self.per_page + 1])

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        if not isinstance(rows, QuerySet):
            return len(rows)
        if len(self.first_rows) <= self.per_page:
            return len(self.first_rows)
        counted = rows.order_by()[: MAX_ROWS_PAGED + 1].count()
        return MoreRows(counted) if counted > MAX_ROWS_PAGED else counted

    def page(self, number: int | str) -> Page[Any]:
        if self.validate_number(number) == 1:
            return Page(self.first_rows[: self.per_page], 1, self)
        return super().page(number)

    @cached_property
    def num_pages(self) -> int:
        return min(super().num_pages, MAX_ROWS_PAGED // self.per_page)


class UncountedPaginator(InfinitePaginator):
    """Pages through the first MAX_ROWS_PAGED rows without counting."""

    @cached_property
    def count(self) -> int:
        return MAX_ROWS_PAGED


class BoundedChangeList(ChangeList):
    """Sorts only by the columns that the list offers, and limits the number of pages."""

    page_num: int

    def get_ordering_field(self, field_name: Any) -> Any:
        """Return None for a column by which the list cannot be sorted: it may have no index."""
        return super().get_ordering_field(field_name) if field_name in self.sortable_by else None

    def get_results(self, request: HttpRequest) -> None:
        self.page_num = max(1, min(self.page_num, MAX_ROWS_PAGED // self.list_per_page))
        super().get_results(request)
        if isinstance(self.paginator, BoundedPaginator) and not self.multi_page:
            self.result_list = self.paginator.first_rows
        if isinstance(self.paginator, UncountedPaginator):
            # The theme shows a count that differs from that of all rows; here there is none.
            self.full_result_count = self.result_count
        self.is_last_page_allowed = self.page_num * self.list_per_page >= MAX_ROWS_PAGED
        self.max_rows_paged = MAX_ROWS_PAGED
