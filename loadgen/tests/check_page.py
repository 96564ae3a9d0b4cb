"""check_page.py PAGE JSON: the HTML report is well-formed, needs nothing else, and says what the JSON report says."""

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

VOID = {"meta"}


class Balance(HTMLParser):
    """As HTML, too, every element is closed."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        assert tag not in {"script", "link", "iframe", "img"}, tag
        for name, value in attrs:
            assert not name.startswith("on"), name
            assert name not in {"src", "href", "style"}, (name, value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag


def main(page_file, json_file):
    with open(page_file, encoding="utf-8") as file:
        page = file.read()
    with open(json_file, encoding="utf-8") as file:
        report = json.load(file)
    balance = Balance()
    balance.feed(page)
    assert balance.open == [], balance.open
    assert "@import" not in page and "url(" not in page
    addresses = set(re.findall(r"https?://[^\s\"<&']+", page))
    expected = {"http://www.w3.org/1999/xhtml", "http://www.w3.org/2000/svg"}
    assert all(address in expected or report["url"].startswith(address) for address in addresses), addresses
    # Namespaces off: the names are easier to look for.
    root = ElementTree.fromstring(re.sub(r' xmlns="[^"]*"', "", page))
    check_numbers(root, report)
    check_plots(root, report)


def rows(root, table):
    found = root.find(f".//table[@id='{table}']")
    for row in found.find("tbody"):
        values = [data.get("value") for data in row.iter("data")]
        yield "".join(row[0].itertext()), [float(value) for value in values]


def check_numbers(root, report):
    response, service = report["latency_us"], report["service_us"]
    latencies = dict(rows(root, "latencies"))
    names = {
        "mean": "mean", "standard deviation": "stdev", "min": "min", "50 %": "p50", "75 %": "p75", "90 %": "p90",
        "95 %": "p95", "99 %": "p99", "99.9 %": "p99_9", "99.99 %": "p99_99", "99.999 %": "p99_999", "max": "max",
    }
    assert set(latencies) == set(names), latencies
    for shown, member in names.items():
        assert latencies[shown][:2] == [response[member], service[member]], shown
    headline = [value for _, values in rows(root, "headline") for value in values]
    assert headline[:2] == [report["replies"], report["replies_per_s"]], headline
    intervals = [values for _, values in rows(root, "intervals")]
    assert len(intervals) == len(report["intervals"]) > 1
    for shown, interval in zip(intervals, report["intervals"]):
        latency = interval["latency_us"]
        assert shown[0] == interval["start_s"] and shown[1] == interval["replies"], shown
        assert shown[3:] == [interval["errors"]] + [latency[name] for name in ("p50", "p90", "p99", "p99_9", "max")]
    outcomes = dict(rows(root, "outcomes"))
    for status, count in report["status"].items():
        assert outcomes[f"status {status}"] == [count]
    assert "".join(root.find(".//h1").itertext()) == report["url"]
    words = "".join(root.find(".//table[@id='circumstances']").itertext())
    for text in (report["command"], report["version"], report["machine"]["kernel"]):
        assert text in words, text


def check_plots(root, report):
    figures = {figure.get("id"): figure for figure in root.iter("figure")}
    assert set(figures) == {"percentiles", "rate", "latency", "errors"}, set(figures)
    for name, figure in figures.items():
        plot = figure.find("svg")
        assert plot.get("role") == "img"
        assert figure.find(f".//*[@id='{plot.get('aria-labelledby')}']").tag == "figcaption", name
        lines = plot.findall("polyline")
        assert len(lines) == len(figure.findall("ul/li")), name
        for line in lines:
            points = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
            assert points == sorted(points, key=lambda point: point[0]), name
            assert all(0 <= x <= 880 and 0 <= y <= 300 for x, y in points), name
        columns = plot.findall("g")
        assert columns and all(column.find("title").text for column in columns), name
    assert len(figures["rate"].find("svg").findall("g")) == len(report["intervals"])


main(*sys.argv[1:])
