"""Charts have axes with round numbers and times, and say what each piece of them is."""

import re
from datetime import UTC, datetime

import pytest
from django.template.loader import render_to_string

from inference.admin.chart import (
    HEIGHT,
    MAX_MARKS,
    MAX_SLICES,
    MAX_STEPS,
    WIDTH,
    Series,
    draw_bars,
    draw_chart,
)

NOW = datetime(2026, 1, 2, 15, 10, tzinfo=UTC).timestamp()
HOUR = 3600.0


def chart(*values, unit="replicas", span=3 * HOUR, **more):
    step = span / max(1, len(values) - 1)
    points = [(NOW - span + number * step, value) for number, value in enumerate(values)]
    series = [Series(css="running", label="ready", points=points, **more)]
    return draw_chart("Replicas", series, since=NOW - span, until=NOW, unit=unit)


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
    assert [level.label for level in chart(0.0, float(most), unit="ms").levels] == labels


@pytest.mark.parametrize("most", [1, 2, 3, 5, 7, 9, 10, 11, 99])
def test_what_is_counted_has_whole_numbers_only(most):
    labels = [level.label for level in chart(0.0, float(most), unit="replicas").levels]
    assert labels == [str(int(label)) for label in labels]


@pytest.mark.parametrize("most", [0.001, 1.0, 7, 99.5, 100.0001, 12345, 9_999_999_999])
def test_no_value_lies_above_the_axis(most):
    drawn = chart(0.0, most)
    assert 2 <= len(drawn.levels) <= MAX_STEPS + 1
    assert drawn.levels[-1].percent == pytest.approx(100)
    assert float(drawn.levels[-1].label.replace(",", "")) >= most


@pytest.mark.parametrize(
    ("span", "labels"),
    [
        (3 * HOUR, ["12:30", "13:00", "13:30", "14:00", "14:30", "15:00"]),
        (24 * HOUR, ["16:00", "20:00", "02 Jan", "04:00", "08:00", "12:00"]),
        (7 * 24 * HOUR, [f"{day:02} Jan" for day in (1, 2)]),
    ],
)
def test_the_axis_of_time_has_round_times(span, labels):
    marks = [mark.label for mark in chart(1.0, 2.0, span=span).marks]
    assert len(marks) <= MAX_MARKS + 1
    if span == 24 * HOUR:
        assert "02 Jan" in marks
        assert all(label.endswith(":00") or label == "02 Jan" for label in marks)
    else:
        assert marks[-len(labels) :] == labels


def test_lines_of_the_grid_stand_where_their_labels_are():
    drawn = chart(0.0, 4.0)
    for level in drawn.levels:
        assert level.at == pytest.approx(HEIGHT - 1 - level.percent / 100 * (HEIGHT - 2))
    for mark in drawn.marks:
        assert mark.at == pytest.approx(1 + mark.percent / 100 * (WIDTH - 2))


def test_a_piece_of_the_time_says_its_values_with_their_unit():
    drawn = chart(1.0, 2.0, 1234.0)
    assert drawn.slices[-1].says == "2026-01-02 15:10 UTC: ready 1,234 replicas"
    assert drawn.says == "Replicas: ready, at most 1,234 replicas, last 1,234 replicas"


def test_of_many_points_few_pieces_are_drawn_side_by_side():
    drawn = chart(*(float(number) for number in range(1000)))
    assert len(drawn.slices) == MAX_SLICES
    ends = [each.x + each.width for each in drawn.slices]
    assert [each.x for each in drawn.slices[1:]] == pytest.approx(ends[:-1])
    assert ends[-1] == pytest.approx(WIDTH - 1)


def test_where_nothing_is_known_nothing_is_said():
    assert chart(None, None) is None
    drawn = chart(None, None, 5.0)
    assert len(drawn.slices) == 1


def test_bars_stand_on_the_axis_and_say_what_they_are():
    hours = [(NOW - NOW % HOUR + number * HOUR, float(number)) for number in range(3)]
    drawn = draw_bars("Requests by hour", hours, seconds=HOUR, unit="requests")
    assert [each.says for each in drawn.slices] == [
        "2026-01-02 15:00 UTC: 0 requests",
        "2026-01-02 16:00 UTC: 1 request",
        "2026-01-02 17:00 UTC: 2 requests",
    ]
    assert [bar.y + bar.height for bar in drawn.bars] == [HEIGHT - 1] * 3
    assert drawn.bars[0].height == 0
    assert [level.label for level in drawn.levels] == ["0", "1", "2"]


def test_the_page_has_labels_lines_and_titles():
    html = render_to_string("inference/chart.html", {"chart": chart(0.0, 80_000.0, unit="ms")})
    assert re.findall(r">([\d,]+)</span>", html) == ["0", "20,000", "40,000", "60,000", "80,000"]
    assert html.count("console-grid") == len(chart(0.0, 80_000.0).levels) + 6
    assert "<title>2026-01-02 15:10 UTC: ready 80,000 ms</title>" in html
    assert "(ms)" in html
