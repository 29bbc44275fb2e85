use learnflow_services::serve;
use learnflow_services::user_progress::{Store, router};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let store = Store::from_env().map_err(std::io::Error::other)?;
    serve("user-progress", router(store)).await
}
