"""Lists of the console over tables of any size: what is counted, paged and sorted has a bound."""

from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.paginator import InfinitePaginator
from unfold.views import ChangeList

MAX_ROWS_PAGED = 10_000
"""Rows that one list pages through. PostgreSQL reads all rows before those of a page."""


class MoreRows(int):
    """A number of rows that were not all counted; pages show it as words."""

    def __str__(self) -> str:
        return f"more than {MAX_ROWS_PAGED:,}"


class BoundedPaginator(Paginator[Any]):
    """Numbers the pages of the first MAX_ROWS_PAGED rows, and counts no more than these."""

    template_name = "console/pagination.html"

    @cached_property
    def first_rows(self) -> list[Any]:
        """Those of the first page and one more: where there is no other page, nothing is counted.

        Counting what a search finds takes as long as finding it.
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
    """Counts nothing, and pages through the first MAX_ROWS_PAGED rows at most."""

    @cached_property
    def count(self) -> int:
        return MAX_ROWS_PAGED


class BoundedChangeList(ChangeList):
    """Sorts by the columns that the list offers, whatever the address says, and ends at a page."""

    page_num: int

    def get_ordering_field(self, field_name: Any) -> Any:
        """None for a column that the list cannot be sorted by: it may have no index."""
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
