"""Charts have axes with round numbers and times, and every value as text."""

import re
from datetime import UTC, datetime

import pytest
from django.template.loader import render_to_string

from kernel.admin.chart_axes import (
    HEIGHT,
    MAX_CATEGORY_TICKS,
    MAX_TIME_TICKS,
    MAX_VALUE_STEPS,
    WIDTH,
    format_number,
)
from kernel.admin.charts import MAX_SLICES, Category, Layer, Series, bar_chart, line_chart

NOW = datetime(2026, 1, 2, 15, 10, tzinfo=UTC).timestamp()
HOUR = 3600.0


def chart(*values, unit="replicas", span=3 * HOUR, **more):
    step = span / max(1, len(values) - 1)
    points = [(NOW - span + number * step, value) for number, value in enumerate(values)]
    series = [Series(css="running", label="ready", points=points, **more)]
    return line_chart("Replicas", series, since=NOW - span, until=NOW, unit=unit)


@pytest.mark.parametrize(
    ("most", "labels"),
    [
        (1, ["0", "0.25", "0.5", "0.75", "1"]),
        (3, ["0", "1", "2", "3"]),
        (72, ["0", "20", "40", "60", "80"]),
        (18_749, ["0", "5,000", "10,000", "15,000", "20,000"]),
        (60_000, ["0", "20,000", "40,000", "60,000"]),
        (9.1, ["0", "2.5", "5", "7.5", "10"]),
    ],
)
def test_the_axis_of_values_has_round_numbers_up_to_the_largest(most, labels):
    assert [tick.label for tick in chart(0.0, float(most), unit="ms").y_ticks] == labels


@pytest.mark.parametrize("most", [1, 2, 3, 5, 7, 9, 10, 11, 99])
def test_what_is_counted_has_whole_numbers_only(most):
    labels = [tick.label for tick in chart(0.0, float(most), unit="replicas").y_ticks]
    assert labels == [str(int(label)) for label in labels]


@pytest.mark.parametrize("most", [0.001, 1.0, 7, 99.5, 100.0001, 12345, 9_999_999_999])
def test_no_value_lies_above_the_axis(most):
    drawn = chart(0.0, most)
    assert 2 <= len(drawn.y_ticks) <= MAX_VALUE_STEPS + 1
    assert drawn.y_ticks[-1].percent == pytest.approx(100)
    assert float(drawn.y_ticks[-1].label.replace(",", "")) >= most


@pytest.mark.parametrize(
    ("span", "labels"),
    [
        (3 * HOUR, ["12:30", "13:00", "13:30", "14:00", "14:30", "15:00"]),
        (24 * HOUR, ["16:00", "20:00", "02 Jan", "04:00", "08:00", "12:00"]),
        (7 * 24 * HOUR, [f"{day:02} Jan" for day in (1, 2)]),
    ],
)
def test_the_axis_of_time_has_round_times(span, labels):
    marks = [tick.label for tick in chart(1.0, 2.0, span=span).x_ticks]
    assert len(marks) <= MAX_TIME_TICKS + 1
    if span == 24 * HOUR:
        assert "02 Jan" in marks
        assert all(label.endswith(":00") or label == "02 Jan" for label in marks)
    else:
        assert marks[-len(labels) :] == labels


def test_lines_of_the_grid_are_where_their_labels_are():
    drawn = chart(0.0, 4.0)
    for tick in drawn.y_ticks:
        assert tick.position == pytest.approx(HEIGHT - 1 - tick.percent / 100 * (HEIGHT - 2))
    for tick in drawn.x_ticks:
        assert tick.position == pytest.approx(1 + tick.percent / 100 * (WIDTH - 2))


def test_a_tooltip_has_the_values_with_their_unit():
    drawn = chart(1.0, 2.0, 1234.0)
    assert drawn.slices[-1].text == "2026-01-02 15:10 UTC: ready 1,234 replicas"
    assert drawn.summary == "Replicas: ready, at most 1,234 replicas, last 1,234 replicas"


def test_many_points_share_a_bounded_number_of_tooltips():
    drawn = chart(*(float(number) for number in range(1000)))
    assert len(drawn.slices) == MAX_SLICES
    ends = [each.x + each.width for each in drawn.slices]
    assert [each.x for each in drawn.slices[1:]] == pytest.approx(ends[:-1])
    assert ends[-1] == pytest.approx(WIDTH - 1)


def test_there_is_no_chart_without_a_value():
    assert chart(None, None) is None
    drawn = chart(None, None, 5.0)
    assert len(drawn.slices) == 1


def days(count):
    numbers = range(1, count + 1)
    return [Category(label=f"{day:02} Jan", description=f"2026-01-{day:02}") for day in numbers]


def layer(label, *values):
    return Layer(css="group-1", label=label, values=values)


def test_bars_of_one_layer_have_their_values_as_text():
    drawn = bar_chart("Requests", days(3), [layer("", 0, 1, 2)], axis_label="Day", unit="requests")
    assert [each.text for each in drawn.slices] == [
        "2026-01-01: 0 requests",
        "2026-01-02: 1 request",
        "2026-01-03: 2 requests",
    ]
    assert [bar.y + bar.height for bar in drawn.bars] == [HEIGHT - 1] * 2
    assert [tick.label for tick in drawn.y_ticks] == ["0", "1", "2"]
    assert drawn.summary == "Requests: 3 requests in total, at most 2 requests (2026-01-03)"


def test_layers_of_a_bar_are_stacked():
    layers = [layer("acme", 3, 0), layer("rival", 1, 2)]
    drawn = bar_chart("Tokens", days(2), layers, axis_label="Day", unit="tokens")
    first, second, third = drawn.bars
    assert (second.x, second.y + second.height) == (first.x, pytest.approx(first.y))
    assert third.y + third.height == HEIGHT - 1
    assert first.height == pytest.approx(3 * second.height)
    assert drawn.slices[0].text == "2026-01-01: 4 tokens (acme 3 tokens, rival 1 token)"
    assert drawn.slices[1].text == "2026-01-02: 2 tokens (rival 2 tokens)"
    assert "acme 3 tokens, rival 3 tokens" in drawn.summary


def test_bars_of_small_amounts_fill_the_chart():
    drawn = bar_chart("Cost", days(2), [layer("acme", 0.000005, 0)], axis_label="Day")
    assert drawn.y_ticks[-1].label == "0.000006"
    assert drawn.bars[0].height > HEIGHT / 2


@pytest.mark.parametrize("count", [1, 7, 24, 31, 400])
def test_labels_of_bars_have_room(count):
    categories = [Category(label=str(number), description="") for number in range(count)]
    drawn = bar_chart("Requests", categories, [layer("", *range(count))], axis_label="Day")
    assert 1 <= len(drawn.x_ticks) <= MAX_CATEGORY_TICKS
    assert drawn.x_ticks[0].percent == pytest.approx(50 / count)


def test_there_are_no_bars_without_categories_or_layers():
    assert bar_chart("Requests", [], [layer("")], axis_label="Day") is None
    assert bar_chart("Requests", days(2), [], axis_label="Day") is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234.6, "1,235"), (2.0, "2"), (2.5, "2.5"), (0.25, "0.25"), (0.000005, "0.000005")],
)
def test_numbers_have_as_many_digits_as_they_need(value, text):
    assert format_number(value) == text


def test_the_page_has_labels_lines_tooltips_and_values_as_text():
    drawn = chart(0.0, 80_000.0, unit="ms")
    html = render_to_string("console/components/chart.html", {"chart": drawn})
    assert re.findall(r">([\d,]+)</span>", html) == ["0", "20,000", "40,000", "60,000", "80,000"]
    assert html.count("console-grid") == len(drawn.y_ticks) + len(drawn.x_ticks)
    assert "<title>2026-01-02 15:10 UTC: ready 80,000 ms</title>" in html
    assert "<li>2026-01-02 15:10 UTC: ready 80,000 ms</li>" in html
    assert "(ms)" in html
    assert "Time (UTC)" in html
