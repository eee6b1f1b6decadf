//! The screen of `exo top`: the tables of a machine, drawn again at each look.

use std::time::{Duration, Instant};

use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::text::Text;
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table};

use super::client::Client;
use super::snapshot::Snapshot;
use super::text::{self, Section};
use crate::error::Error;

/// Lines of the machine's own part.
const HEAD_LINES: u16 = 3;
/// Lines of a table that stay, however small the screen: title, head, one row.
const TABLE_LINES_MIN: u16 = 3;
/// Rows by which the page keys move.
const PAGE: usize = 20;

/// What is on the screen.
struct View {
    now: Snapshot,
    before: Option<Snapshot>,
    /// First environment that is shown.
    first: usize,
}

/// Shows the machine until its end, or until `q`.
pub fn run(client: &Client, interval: Duration) -> Result<(), Error> {
    let mut view = View {
        now: client.snapshot()?,
        before: None,
        first: 0,
    };
    let mut terminal =
        ratatui::try_init().map_err(|error| Error::system("preparing the terminal", error))?;
    let shown = loop {
        if let Err(error) = terminal.draw(|frame| draw(frame, &view)) {
            break Err(Error::system("writing to the terminal", error));
        }
        match wait_for_keys(&mut view, interval) {
            Ok(Next::Look) => {}
            Ok(Next::Draw) => continue,
            Ok(Next::End) => break Ok(()),
            Err(error) => break Err(Error::system("reading the terminal", error)),
        }
        match client.snapshot() {
            Ok(snapshot) => view.before = Some(std::mem::replace(&mut view.now, snapshot)),
            // It has ended.
            Err(Error::MissingInput(_)) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    ratatui::restore();
    shown
}

/// What comes after a key, or after none.
enum Next {
    /// Time for another look.
    Look,
    /// Another part is to be shown.
    Draw,
    /// Enough.
    End,
}

fn wait_for_keys(view: &mut View, interval: Duration) -> std::io::Result<Next> {
    let end = Instant::now() + interval;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if !event::poll(left)? {
            return Ok(Next::Look);
        }
        let key = match event::read()? {
            Event::Key(key) if key.kind == KeyEventKind::Press => key,
            Event::Resize(..) => return Ok(Next::Draw),
            _ => continue,
        };
        let last = view.now.environments.len().saturating_sub(1);
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Ok(Next::End),
            KeyCode::Char('c') if key.modifiers == KeyModifiers::CONTROL => return Ok(Next::End),
            KeyCode::Up => view.first = view.first.saturating_sub(1),
            KeyCode::Down => view.first = (view.first + 1).min(last),
            KeyCode::PageUp => view.first = view.first.saturating_sub(PAGE),
            KeyCode::PageDown => view.first = (view.first + PAGE).min(last),
            KeyCode::Home => view.first = 0,
            KeyCode::End => view.first = last,
            _ => continue,
        }
        return Ok(Next::Draw);
    }
}

fn draw(frame: &mut Frame, view: &View) {
    let mut sections = text::sections(&view.now, view.before.as_ref());
    if let Some(environments) = sections.first_mut() {
        environments.rows.drain(1..view.first + 1);
    }
    let heights = heights(&sections, frame.area().height.saturating_sub(HEAD_LINES));
    let lines = [HEAD_LINES].into_iter().chain(heights);
    let areas = Layout::vertical(lines.map(Constraint::Length)).split(frame.area());
    let mut areas = areas.iter();
    if let Some(&area) = areas.next() {
        frame.render_widget(Paragraph::new(text::head(&view.now)), area);
    }
    for (section, &area) in sections.iter().zip(areas) {
        draw_section(frame, section, area);
    }
}

/// Lines of each section: what it needs, and where the screen is too small, the same for all that need more.
fn heights(sections: &[Section], lines: u16) -> Vec<u16> {
    let wanted = |section: &Section| u16::try_from(section.rows.len() + 1).unwrap_or(u16::MAX);
    let mut heights = vec![0; sections.len()];
    let mut left = lines;
    let mut open = sections.len() as u16;
    let mut order: Vec<usize> = (0..sections.len()).collect();
    order.sort_by_key(|&index| wanted(&sections[index]));
    for index in order {
        let share = (left / open).max(TABLE_LINES_MIN.min(left));
        heights[index] = wanted(&sections[index]).min(share);
        left -= heights[index];
        open -= 1;
    }
    heights
}

fn draw_section(frame: &mut Frame, section: &Section, area: Rect) {
    let count = section.rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = section.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0) as u16
    };
    let widths = (0..count).map(|column| Constraint::Length(width(column)));
    let right: Vec<bool> = (0..count)
        .map(|column| text::is_number(&section.rows, column))
        .collect();
    let row = |cells: &Vec<String>| {
        Row::new(cells.iter().zip(&right).map(|(cell, &right)| {
            let alignment = if right {
                Alignment::Right
            } else {
                Alignment::Left
            };
            Cell::new(Text::from(cell.clone()).alignment(alignment))
        }))
    };
    let (head, rows) = section.rows.split_at(1.min(section.rows.len()));
    let mut table = Table::new(rows.iter().map(row), widths)
        .column_spacing(2)
        .block(
            Block::new()
                .borders(Borders::TOP)
                .title(section.title.bold()),
        );
    if let Some(head) = head.first() {
        table = table.header(row(head).style(Style::new().bold()));
    }
    frame.render_widget(table, area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::observe::text::tests::snapshot;

    fn drawn(view: &View, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, view)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn everything_is_on_a_large_screen_and_nothing_breaks_on_a_small_one() {
        let mut view = View {
            now: snapshot(),
            before: None,
            first: 0,
        };
        let screen = drawn(&view, 130, 40);
        for word in [
            "hash-1",
            "environments",
            "victim",
            "functions",
            "disk",
            "CALLS ",
        ] {
            assert!(screen.contains(word), "no {word} in\n{screen}");
        }
        view.before = Some(snapshot());
        view.first = 1;
        let screen = drawn(&view, 130, 40);
        assert!(
            screen.contains("CALLS/S") && !screen.contains("runnable"),
            "{screen}"
        );
        for (width, height) in [(1, 1), (20, 4), (80, 6), (300, 200)] {
            drawn(&view, width, height);
        }
    }
}
