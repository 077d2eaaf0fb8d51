//! What the HTTP servers of the programs have in common: answers are JSON, also the refusals.

use axum::Json;
use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;

/// A refusal: a status, and in words what was wrong.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    reason: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.reason }))).into_response()
    }
}

/// Answers what no route of `router` does with JSON as well.
pub(crate) fn with_refusals<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router
        .fallback(|uri: Uri| async move { Refusal::new(StatusCode::NOT_FOUND, format!("there is nothing at {uri}")) })
        .method_not_allowed_fallback(|| async {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this address does not take that method")
        })
}

/// A page with the style that all pages share. It needs nothing from anywhere else.
pub(crate) fn page(body: &str) -> Html<String> {
    Html(body.replace("/* shared style */", include_str!("style.css")))
}
