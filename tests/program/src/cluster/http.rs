//! The dashboard: the table as a page that draws itself anew whenever the board changes.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::stream::{self, Stream};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::board::{Board, Times};
use super::conductor::Shared;
use crate::http::{page, with_refusals};
use crate::view::millis;

/// How often the page is sent the board.
const FRAME: Duration = Duration::from_millis(250);

/// How many pieces of news the page shows.
const NEWS: usize = 30;

/// All routes.
pub(super) fn router(shared: Shared) -> Router {
    let router = Router::new()
        .route("/", get(|| async { page(include_str!("page.html")) }))
        .route("/state", get(|State(shared): State<Shared>| async move { Json(picture(&shared)) }))
        .route("/events", get(events));
    with_refusals(router).with_state(shared)
}

/// The whole board, again and again: it is small, and a reader that missed some has missed nothing.
async fn events(State(shared): State<Shared>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let pictures = stream::unfold((shared, Duration::ZERO), |(shared, pause)| async move {
        sleep(pause).await;
        let data = picture(&shared).to_string();
        Some((Ok(Event::default().data(data)), (shared, FRAME)))
    });
    Sse::new(pictures).keep_alive(KeepAlive::default())
}

fn picture(shared: &Shared) -> Value {
    let (board, at) = (shared.board(), shared.now());
    let nodes = 0..board.rows.len();
    let rows = nodes.clone().map(|by| row(&board, by)).collect::<Vec<_>>();
    json!({
        "seconds": at.as_secs_f64(),
        "agrees": board.agrees(),
        "spreads": times(&board.spreads),
        "arrivals": times(&board.arrivals),
        "nodes": rows,
        "news": board.news.iter().rev().take(NEWS).collect::<Vec<_>>(),
    })
}

fn row(board: &Board, by: usize) -> Value {
    let row = &board.rows[by];
    let cell = |owner| json!({ "title": board.title(by, owner), "freshness": board.freshness(by, owner) });
    json!({
        "id": row.id,
        "runtime": row.runtime,
        "address": row.address.map(|address| address.to_string()),
        "up": row.up,
        "knows": (0..board.rows.len()).map(cell).collect::<Vec<_>>(),
        "vitals": row.vitals,
    })
}

fn times(times: &Times) -> Value {
    json!({
        "count": times.count,
        "median_ms": times.median().map(millis),
        "slowest_ms": times.slowest.map(millis),
    })
}
