use learnflow_services::{Sidecar, course_agent, serve};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    serve("course-agent", course_agent::router(Sidecar::from_env())).await
}
