//! Line plots as inline SVG, with the values at each place as hover text.

use std::fmt::Write as _;

use super::axis::Axis;
use super::escape::escape;

const WIDTH: f64 = 880.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 78.0;
/// Half of the longest mark of an axis of percentiles.
const RIGHT: f64 = 32.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 42.0;

/// One line of a plot.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) name: &'static str,
    /// In order of x.
    pub(super) points: Vec<(f64, f64)>,
}

#[derive(Debug)]
pub(super) struct Plot<'a> {
    /// Unique in the page.
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    /// What one has to know to read it.
    pub(super) note: &'a str,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) x_title: &'a str,
    pub(super) y_title: &'a str,
    pub(super) show_x: fn(f64) -> String,
    pub(super) show_y: fn(f64) -> String,
    pub(super) series: &'a [Series],
}

impl Plot<'_> {
    /// A figure with legend and caption.
    pub(super) fn render(&self) -> String {
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{0}-title\" \
             xmlns=\"http://www.w3.org/2000/svg\">",
            self.id
        );
        self.render_axes(&mut svg);
        for (index, series) in self.series.iter().enumerate() {
            let points: Vec<String> = series
                .points
                .iter()
                .map(|(x, y)| format!("{:.1},{:.1}", self.x_of(*x), self.y_of(*y)))
                .collect();
            push(&mut svg, format_args!("<polyline class=\"s{index}\" points=\"{}\"/>", points.join(" ")));
        }
        self.render_columns(&mut svg);
        svg.push_str("</svg>");
        let legend: String = self
            .series
            .iter()
            .enumerate()
            .map(|(index, series)| {
                format!(
                    "<li><svg viewBox=\"0 0 24 8\" aria-hidden=\"true\"><polyline class=\"s{index}\" \
                     points=\"0,4 24,4\"/></svg> {}</li>",
                    escape(series.name)
                )
            })
            .collect();
        let scale = if self.y.is_logarithmic() { " Logarithmic scale." } else { "" };
        format!(
            "<figure id=\"{}\"><figcaption id=\"{}-title\"><strong>{}</strong> {}{scale}</figcaption>\
             <ul class=\"legend\">{legend}</ul>{svg}</figure>\n",
            self.id,
            self.id,
            escape(self.title),
            escape(self.note)
        )
    }

    fn render_axes(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for mark in self.y.marks() {
            let y = self.y_of(mark);
            push(
                svg,
                format_args!(
                    "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"
                ),
            );
            let text = escape(&(self.show_y)(mark));
            let (x, y) = (LEFT - 6.0, y + 4.0);
            push(svg, format_args!("<text class=\"end\" x=\"{x}\" y=\"{y:.1}\">{text}</text>"));
        }
        for mark in self.x.marks() {
            let x = self.x_of(mark);
            push(
                svg,
                format_args!(
                    "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>"
                ),
            );
            let text = escape(&(self.show_x)(mark));
            let y = bottom + 16.0;
            push(svg, format_args!("<text class=\"middle\" x=\"{x:.1}\" y=\"{y}\">{text}</text>"));
        }
        let (x, y) = ((LEFT + right) / 2.0, HEIGHT - 6.0);
        push(svg, format_args!("<text class=\"middle\" x=\"{x}\" y=\"{y}\">{}</text>", escape(self.x_title)));
        let y = (TOP + bottom) / 2.0;
        push(
            svg,
            format_args!(
                "<text class=\"middle\" transform=\"rotate(-90 12 {y})\" x=\"12\" y=\"{y}\">{}</text>",
                escape(self.y_title)
            ),
        );
    }

    /// A column for each place that any series has, which shows its values when it is pointed at.
    fn render_columns(&self, svg: &mut String) {
        let mut places: Vec<f64> =
            self.series.iter().flat_map(|series| series.points.iter().map(|point| point.0)).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        for (index, place) in places.iter().enumerate() {
            let x = self.x_of(*place);
            let before = index.checked_sub(1).map_or(LEFT, |index| (self.x_of(places[index]) + x) / 2.0);
            let after = places.get(index + 1).map_or(WIDTH - RIGHT, |next| (self.x_of(*next) + x) / 2.0);
            let values: Vec<String> =
                self.series.iter().filter_map(|series| self.value(series, *place)).collect();
            push(
                svg,
                format_args!(
                    "<g class=\"column\"><title>{}: {}</title><rect x=\"{before:.1}\" y=\"{TOP}\" \
                     width=\"{:.1}\" height=\"{:.1}\"/></g>",
                    escape(&(self.show_x)(*place)),
                    escape(&values.join(", ")),
                    after - before,
                    HEIGHT - BOTTOM - TOP
                ),
            );
        }
    }

    /// What a series says at a place.
    fn value(&self, series: &Series, place: f64) -> Option<String> {
        let index = series.points.binary_search_by(|point| point.0.total_cmp(&place)).ok()?;
        Some(format!("{} {}", series.name, (self.show_y)(series.points[index].1)))
    }

    fn x_of(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y_of(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)
    }
}

fn push(text: &mut String, part: std::fmt::Arguments<'_>) {
    let written = text.write_fmt(part);
    debug_assert!(written.is_ok(), "a string takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_hover_values_are_where_the_points_are() {
        let series = [
            Series { name: "a<b", points: vec![(0.0, 0.0), (5.0, 50.0), (10.0, 100.0)] },
            Series { name: "c", points: vec![(5.0, 100.0)] },
        ];
        let plot = Plot {
            id: "p",
            title: "T & t",
            note: "",
            x: Axis::even(10.0),
            y: Axis::even(100.0),
            x_title: "x",
            y_title: "y",
            show_x: |x| format!("{x} s"),
            show_y: |y| format!("{y} us"),
            series: &series,
        };
        let html = plot.render();
        assert!(html.contains("points=\"78.0,258.0 463.0,134.0 848.0,10.0\""), "{html}");
        assert!(html.contains("<title>5 s: a&lt;b 50 us, c 100 us</title>"));
        assert!(html.contains("<strong>T &amp; t</strong>"));
        assert_eq!(html.matches("class=\"column\"").count(), 3);
    }
}
