//! Draws a contest as bars: `bench chart FILE`.

use std::path::Path;

use plotters::{
    backend::SVGBackend,
    drawing::{DrawingArea, IntoDrawingArea},
    element::{Rectangle, Text},
    style::{Color, IntoFont, RGBColor},
};

use crate::{Result, figures::Figure, report::Entry};

const WIDTH: i32 = 860;
/// Where the bars begin, and the longest of them ends.
const BARS: (i32, i32) = (190, 760);
const BAR_HEIGHT: i32 = 16;
const LINE: i32 = 20;
const BETWEEN_GROUPS: i32 = 34;
const TOP: i32 = 44;

const OURS: RGBColor = RGBColor(0x1b, 0x6e, 0xc2);
const OTHERS: RGBColor = RGBColor(0x9a, 0xa3, 0xad);
const INK: RGBColor = RGBColor(0x1f, 0x24, 0x28);

type Area<'f> = DrawingArea<SVGBackend<'f>, plotters::coord::Shift>;

/// Draws the requests that each candidate answered in a second, a group of bars for each route of
/// each row.
pub(crate) fn draw(file: &Path, title: &str, entries: &[Entry]) -> Result<()> {
    let groups: Vec<&[Entry]> = entries
        .chunk_by(|one, other| (one.row, one.route) == (other.row, other.route))
        .collect();
    let lines: usize = groups.iter().map(|group| group.len()).sum();
    let height = TOP + i32::try_from(lines)? * LINE + i32::try_from(groups.len())? * BETWEEN_GROUPS;
    let size = (u32::try_from(WIDTH)?, u32::try_from(height)?);
    let area = SVGBackend::new(file, size).into_drawing_area();
    // A page may be dark, and the text is not.
    area.fill(&RGBColor(255, 255, 255))?;
    write(&area, (16, 12), 17, title)?;
    let mut top = TOP;
    for group in groups {
        let heading = format!("{}, {}", group[0].row.name(), group[0].route.name());
        write(&area, (16, top), 14, &heading)?;
        top += LINE;
        let rates: Vec<f64> = group.iter().map(rate).collect();
        let most = rates.iter().copied().fold(1.0, f64::max);
        for (entry, rate) in group.iter().zip(rates) {
            #[expect(clippy::cast_possible_truncation, reason = "it is less than the width")]
            let end = BARS.0 + (f64::from(BARS.1 - BARS.0) * rate / most) as i32;
            let color = if entry.candidate.is_ours() {
                OURS
            } else {
                OTHERS
            };
            let corners = [(BARS.0, top), (end, top + BAR_HEIGHT)];
            area.draw(&Rectangle::new(corners, color.filled()))?;
            write(&area, (16, top + 2), 12, entry.candidate.name())?;
            write(&area, (end + 6, top + 2), 12, &format!("{rate:.0}"))?;
            top += LINE;
        }
        top += BETWEEN_GROUPS - LINE;
    }
    area.present()?;
    Ok(())
}

fn rate(entry: &Entry) -> f64 {
    Figure::of(entry.rounds.iter().map(|round| round.rate)).median
}

fn write(area: &Area<'_>, at: (i32, i32), size: i32, text: &str) -> Result<()> {
    let style = ("sans-serif", size).into_font().color(&INK);
    area.draw(&Text::new(text.to_owned(), at, style))?;
    Ok(())
}
