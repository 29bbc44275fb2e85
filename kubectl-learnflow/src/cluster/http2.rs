//! All requests on one connection. The client that kube makes (5.0) speaks HTTP/1.1 only: each request that is under
//! way at the same time takes a connection, and a TLS handshake costs more than most of our requests.

use http::Request;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt},
};
use std::time::Instant;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

/// A client that speaks HTTP/2 with every server that does.
pub(super) fn client(config: Config) -> kube::Result<Client> {
    // The rare ways to a cluster are kube's.
    if config.proxy_url.is_some() || config.tls_server_name.is_some() {
        return Client::try_from(config);
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    // Else a request with a body waits 40 ms for the server to acknowledge its head.
    tcp.set_nodelay(true);
    let tls = HttpsConnectorBuilder::new()
        .with_tls_config(config.rustls_client_config()?)
        .https_or_http()
        .enable_http1()
        .enable_http2()
        .wrap_connector(tcp);
    let mut connector = TimeoutConnector::new(tls);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let connections = legacy::Client::builder(TokioExecutor::new()).build(connector);
    // The line for each request that -v shows.
    let told = service_fn(move |request: Request<Body>| {
        let connections = connections.clone();
        async move {
            let (method, uri, began) = (request.method().clone(), request.uri().clone(), Instant::now());
            let answer = connections.oneshot(request).await.map_err(BoxError::from)?;
            let (code, ms) = (answer.status().as_u16(), began.elapsed().as_millis());
            tracing::debug!("{method} {uri} {code} after {ms} ms");
            Ok::<_, BoxError>(answer)
        }
    });
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(told);
    Ok(Client::new(service, config.default_namespace.clone()))
}
