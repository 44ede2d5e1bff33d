//! A thin writer of SVG elements.

use std::fmt::Write as _;

use super::font;

/// An SVG document that grows.
pub(super) struct Svg {
    width: f64,
    height: f64,
    body: String,
    clips: usize,
}

/// How text looks.
#[derive(Clone, Copy)]
pub(super) struct Text {
    pub size: f64,
    pub fill: &'static str,
    /// `start`, `middle` or `end`.
    pub anchor: &'static str,
    /// A white rim, for text that lies over lines.
    pub halo: bool,
    /// Reads upwards instead of rightwards.
    pub upwards: bool,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            size: 12.0,
            fill: super::color::INK,
            anchor: "start",
            halo: false,
            upwards: false,
        }
    }
}

/// How a line looks.
#[derive(Clone, Copy)]
pub(super) struct Stroke {
    pub color: &'static str,
    pub width: f64,
    /// `stroke-dasharray`; empty for a solid line.
    pub dashes: &'static str,
    pub opacity: f64,
}

impl Stroke {
    pub(super) fn new(color: &'static str, width: f64) -> Self {
        Self {
            color,
            width,
            dashes: "",
            opacity: 1.0,
        }
    }

    pub(super) fn dashed(self, dashes: &'static str) -> Self {
        Self { dashes, ..self }
    }

    fn attributes(&self) -> String {
        let mut text = format!("stroke=\"{}\" stroke-width=\"{}\"", self.color, self.width);
        if !self.dashes.is_empty() {
            let _ = write!(text, " stroke-dasharray=\"{}\"", self.dashes);
        }
        if self.opacity < 1.0 {
            let _ = write!(text, " stroke-opacity=\"{}\"", self.opacity);
        }
        text
    }
}

impl Svg {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self {
            width,
            height,
            body: String::new(),
            clips: 0,
        }
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: &Stroke) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let look = stroke.attributes();
        self.put(format_args!(
            "<line x1=\"{x1:.2}\" y1=\"{y1:.2}\" x2=\"{x2:.2}\" y2=\"{y2:.2}\" {look}/>"
        ));
    }

    pub(super) fn polyline(&mut self, points: &[(f64, f64)], stroke: &Stroke) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.2},{y:.2}")).collect();
        self.put(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke-linejoin=\"round\" stroke-linecap=\"round\" {}/>",
            points.join(" "),
            stroke.attributes()
        ));
    }

    pub(super) fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, fill: &str) {
        self.put(format_args!(
            "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"{fill}\"/>"
        ));
    }

    pub(super) fn frame(&mut self, x: f64, y: f64, width: f64, height: f64, stroke: &Stroke) {
        self.put(format_args!(
            "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"none\" {}/>",
            stroke.attributes()
        ));
    }

    pub(super) fn circle(&mut self, x: f64, y: f64, radius: f64, fill: &str, stroke: &Stroke) {
        let look = stroke.attributes();
        self.put(format_args!(
            "<circle cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"{radius}\" fill=\"{fill}\" {look}/>"
        ));
    }

    /// A line of text. Ubuntu has no arrow, and a renderer that misses one sign takes the whole line from another
    /// font: an arrow in text that starts at `x` is therefore drawn on its own.
    pub(super) fn text(&mut self, x: f64, y: f64, content: &str, look: &Text) {
        const ARROW: &str = "→";
        if look.anchor != "start" || look.upwards || content == ARROW || !content.contains(ARROW) {
            return self.run(x, y, content, look);
        }
        let mut x = x;
        for (index, piece) in content.split(ARROW).map(str::trim).enumerate() {
            if index > 0 {
                self.run(x, y, ARROW, look);
                x += font::width(ARROW, look.size) + 0.3 * look.size;
            }
            self.run(x, y, piece, look);
            x += font::width(piece, look.size) + 0.3 * look.size;
        }
    }

    fn run(&mut self, x: f64, y: f64, content: &str, look: &Text) {
        let turn = if look.upwards {
            format!(" transform=\"rotate(-90 {x:.2} {y:.2})\"")
        } else {
            String::new()
        };
        let halo = if look.halo {
            " stroke=\"#ffffff\" stroke-width=\"4\" stroke-linejoin=\"round\" paint-order=\"stroke\""
        } else {
            ""
        };
        self.put(format_args!(
            "<text x=\"{x:.2}\" y=\"{y:.2}\" font-size=\"{}\" fill=\"{}\" text-anchor=\"{}\"{halo}{turn}>{}</text>",
            look.size,
            look.fill,
            look.anchor,
            escape(content)
        ));
    }

    /// Draws what `inside` draws, cut off at a rectangle.
    pub(super) fn clipped(&mut self, x: f64, y: f64, width: f64, height: f64, inside: impl FnOnce(&mut Self)) {
        self.clips += 1;
        let id = self.clips;
        self.put(format_args!("<clipPath id=\"clip{id}\">"));
        self.rect(x, y, width, height, "#000000");
        self.put(format_args!("</clipPath>\n<g clip-path=\"url(#clip{id})\">"));
        inside(self);
        self.put(format_args!("</g>"));
    }

    /// The whole document, on white.
    pub(super) fn finish(self) -> String {
        let Self {
            width, height, body, ..
        } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"{}\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n",
            font::FAMILY
        )
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        let _ = self.body.write_fmt(element);
        self.body.push('\n');
    }
}

/// Text as XML content; control characters, which XML does not allow, are left out.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            control if control.is_control() || matches!(control, '\u{fffe}' | '\u{ffff}') => {}
            other => escaped.push(other),
        }
    }
    escaped
}
