//! The same job with tower-sessions, its sessions in memory, in Rust. Arguments: port, page of a user, page of a
//! stranger.
use axum::extract::{Form, State};
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use axum::Router;
use serde::Deserialize;
use std::{env, fs, sync::Arc};
use tower_sessions::cookie::time::Duration;
use tower_sessions::session::Error;
use tower_sessions::{Expiry, MemoryStore, Session, SessionManagerLayer};

struct Pages {
    user: String,
    stranger: String,
}

#[derive(Deserialize)]
struct Registration {
    username: String,
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = env::args().collect();
    let page = |index: usize| fs::read_to_string(&arguments[index]).expect("a page");
    let pages = Arc::new(Pages { user: page(2), stranger: page(3) });
    let sessions = SessionManagerLayer::new(MemoryStore::default())
        .with_secure(false)
        .with_expiry(Expiry::OnInactivity(Duration::hours(1)));
    let app = Router::new().route("/", get(home)).route("/add", post(add)).layer(sessions).with_state(pages);
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{}", arguments[1])).await.expect("a free port");
    axum::serve(listener, app).await.expect("a server");
}

async fn home(State(pages): State<Arc<Pages>>, session: Session) -> Html<String> {
    let text = |name: &'static str| {
        let session = session.clone();
        async move { session.get::<String>(name).await.ok().flatten() }
    };
    let Some(user) = text("user").await else { return Html(pages.stranger.clone()) };
    let greet = text("greet").await.unwrap_or_default();
    Html(pages.user.replace("{{.User}}", &escape(&user)).replace("{{.Greet}}", &escape(&greet)))
}

async fn add(session: Session, Form(form): Form<Registration>) -> Redirect {
    store(&session, form.username).await.expect("a stored session");
    Redirect::to("/")
}

async fn store(session: &Session, user: String) -> Result<(), Error> {
    session.cycle_id().await?;
    session.insert("greet", format!("Successfully registered username - {user}.")).await?;
    session.insert("user", user).await
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
