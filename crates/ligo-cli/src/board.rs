//! What is seen of jobs that run side by side: bars on a terminal, lines elsewhere.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use ligo_device::DeviceChoice;
use ligo_experiment::job_message::Position;
use ligo_experiment::{Board, Listener};

use crate::Ui;
use crate::progress::LINE_EVERY;
use crate::ui::set_style;

/// What the user sees of all jobs: a bar for each and one for the whole, or where there is no terminal a line now and then.
pub struct Jobs {
    ui: Ui,
    bars: Option<Bars>,
    rows: Vec<Option<Row>>,
    line_every: Duration,
    total: usize,
    complete: usize,
    failed: usize,
}

struct Bars {
    all: MultiProgress,
    whole: ProgressBar,
}

/// One job.
struct Row {
    bar: Option<ProgressBar>,
    last_line: Instant,
}

const JOB: &str = "  {prefix:<30} {wide_bar:.cyan/dim} {pos}/{len}  {msg}";
const WHOLE: &str = "  {prefix:<30} {wide_bar:.cyan/dim} {pos}/{len}  {msg}  {elapsed}";

impl Jobs {
    pub fn new(ui: Ui, total: usize, places: usize) -> Self {
        let bars = ui.draws_bars().then(|| {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
            let whole = all.add(ProgressBar::new(total as u64));
            set_style(&whole, WHOLE);
            whole.set_prefix("all");
            whole.enable_steady_tick(Duration::from_millis(500));
            Bars { all, whole }
        });
        Self {
            ui,
            bars,
            rows: (0..places).map(|_| None).collect(),
            // However many jobs there are, the lines come at the pace of one.
            line_every: LINE_EVERY * places as u32,
            total,
            complete: 0,
            failed: 0,
        }
    }
}

impl Board for Jobs {
    fn say(&self, line: &str) {
        match &self.bars {
            Some(bars) => bars.all.suspend(|| self.ui.say(line)),
            None => self.ui.say(line),
        }
    }

    fn started(&mut self, place: usize, name: &str, device: DeviceChoice) {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.all.insert_before(&bars.whole, ProgressBar::new(1));
            set_style(&bar, JOB);
            bar.set_prefix(name.to_owned());
            bar.set_message(format!("starting on {device}"));
            bar
        });
        self.rows[place] = Some(Row {
            bar,
            last_line: Instant::now(),
        });
    }

    fn at(&mut self, place: usize, position: &Position) {
        let Some(row) = &mut self.rows[place] else { return };
        let Position {
            label,
            step,
            steps,
            message,
        } = position;
        if let Some(bar) = &row.bar {
            bar.set_prefix(label.clone());
            bar.set_length(*steps);
            bar.set_position(*step);
            bar.set_message(message.clone());
        } else if row.last_line.elapsed() >= self.line_every {
            row.last_line = Instant::now();
            self.ui.say(&format!("  {label} {step}/{steps}  {message}"));
        }
    }

    /// The job at this place has ended.
    fn left(&mut self, place: usize) {
        if let Some(bar) = self.rows[place].take().and_then(|row| row.bar) {
            bar.finish_and_clear();
        }
    }

    /// A unit is complete, or will not be.
    fn ended(&mut self, name: &str, well: bool) {
        if well {
            self.complete += 1;
        } else {
            self.failed += 1;
        }
        let failed = match self.failed {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        match &self.bars {
            Some(bars) => {
                bars.whole.set_position((self.complete + self.failed) as u64);
                bars.whole.set_message(failed.trim_start_matches(", ").to_owned());
            }
            None if well => self.ui.say(&format!(
                "{name}: complete; {} of {}{failed}",
                self.complete, self.total
            )),
            None => {}
        }
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        if let Some(bars) = &self.bars {
            bars.whole.finish_and_clear();
        }
    }
}
