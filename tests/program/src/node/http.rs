//! The HTTP interface of a node.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream::{self, Stream};
use gossip_core::{InputError, MessageId, SubmitError};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use super::App;
use super::inbox::Posted;
use super::metrics;
use crate::handle::{Failed, read};
use crate::http::{Refusal, page, with_refusals};
use crate::view;

/// The longest body that is read, in bytes: the largest message, 1 MiB, with every byte escaped (`\\u0000`), and some more.
const BODY_MAX: usize = 7 << 20;

/// How long a message may wait for room in the node.
const PATIENCE: Duration = Duration::from_secs(5);

/// All routes.
pub(super) fn router(app: Arc<App>) -> Router {
    let router = Router::new()
        .route("/", get(index))
        .route("/peers", get(peers))
        .route("/peers/", get(peers))
        .route("/gossip", post(submit))
        .route("/gossip/", post(submit))
        .route("/messages", get(messages))
        .route("/messages/{id}", get(message))
        .route("/state", get(state))
        .route("/metrics", get(prometheus))
        .route("/events", get(events))
        .layer(DefaultBodyLimit::max(BODY_MAX));
    with_refusals(router).with_state(app)
}

async fn index() -> Html<String> {
    page(include_str!("page.html"))
}

async fn peers(State(app): State<Arc<App>>) -> Result<Json<Value>, Refusal> {
    let id = app.id;
    let (peers, view) = read(&*app.node, |gossip| (view::peers(gossip), view::hearsay(gossip))).await?;
    Ok(Json(json!({ "node": id, "peers": peers, "view": view })))
}

async fn messages(State(app): State<Arc<App>>) -> Result<Json<Value>, Refusal> {
    Ok(Json(read(&*app.node, view::messages).await?.into()))
}

async fn message(
    State(app): State<Arc<App>>,
    text: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Refusal> {
    let Path(text) = text.map_err(|error| Refusal::new(error.status(), error.body_text()))?;
    let id: MessageId =
        text.parse().map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("{text:?}: {error}")))?;
    let found = read(&*app.node, move |gossip| gossip.get(id).as_ref().map(view::message)).await?;
    let unknown = || Refusal::new(StatusCode::NOT_FOUND, format!("node {} has no message {id}", app.id));
    found.map(Json).ok_or_else(unknown)
}

async fn state(State(app): State<Arc<App>>) -> Result<Json<Value>, Refusal> {
    Ok(Json(read(&*app.node, view::state).await?))
}

async fn prometheus(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Refusal> {
    let text = read(&*app.node, metrics::render).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text))
}

async fn submit(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<impl IntoResponse, Refusal> {
    let body = body.map_err(|error| Refusal::new(error.status(), error.body_text()))?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let posted = if kind.starts_with("text/plain") { Posted::from_text(&body) } else { Posted::from_json(&body)? };
    let busy = |_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the node has no room at the moment, try again later");
    let (id, fresh) = timeout(PATIENCE, app.accept(posted)).await.map_err(busy)??;
    let status = if fresh { StatusCode::CREATED } else { StatusCode::OK };
    let answer = Json(json!({ "id": id.to_string(), "duplicate": !fresh }));
    Ok((status, [(header::LOCATION, format!("/messages/{id}"))], answer))
}

/// What the node tells, as it happens. A reader that is too slow is told how much it missed.
async fn events(State(app): State<Arc<App>>) -> Sse<impl Stream<Item = Result<SseEvent, Infallible>>> {
    let told = stream::unfold(app.feed.subscribe(), |mut feed| async {
        let data = match feed.recv().await {
            Ok(event) => event,
            Err(RecvError::Lagged(missed)) => json!({ "event": "missed", "count": missed }).to_string().into(),
            Err(RecvError::Closed) => return None,
        };
        Some((Ok(SseEvent::default().data(data)), feed))
    });
    Sse::new(told).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}

impl From<Failed> for Refusal {
    fn from(failed: Failed) -> Self {
        let status = match failed {
            Failed::Refused(InputError::Submit(SubmitError::TooLarge { .. })) => StatusCode::PAYLOAD_TOO_LARGE,
            Failed::Refused(InputError::Submit(SubmitError::Busy | SubmitError::Leaving)) | Failed::Stopped => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Failed::Refused(_) => StatusCode::BAD_REQUEST,
        };
        Self::new(status, failed.to_string())
    }
}
