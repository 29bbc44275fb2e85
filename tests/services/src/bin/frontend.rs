use learnflow_services::{Sidecar, frontend, serve};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    serve("frontend", frontend::router(Sidecar::from_env())).await
}
