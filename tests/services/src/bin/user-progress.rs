use learnflow_services::user_progress::{Store, router};
use learnflow_services::{Spans, serve};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let store = Store::from_env().map_err(std::io::Error::other)?;
    serve("user-progress", router(store, Spans::from_env("user-progress"))).await
}
