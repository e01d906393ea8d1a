//! The page: the answers drawn in a browser. It is a few files as they are, without a build step.

use axum::Router;
use axum::http::header;
use axum::routing::get;

/// Where each file is, of which kind, and its text.
const FILES: [(&str, &str, &str); 7] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/page/style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("/page/dom.js", SCRIPT, include_str!("page/dom.js")),
    ("/page/main.js", SCRIPT, include_str!("page/main.js")),
    ("/page/plot.js", SCRIPT, include_str!("page/plot.js")),
    ("/page/views.js", SCRIPT, include_str!("page/views.js")),
    ("/page/words.js", SCRIPT, include_str!("page/words.js")),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The page may ask this port and nothing else, runs nothing but these files, and no other page may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, text)| {
        let headers = [
            (header::CONTENT_TYPE, kind),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            // The next version's files may be others under the same names.
            (header::CACHE_CONTROL, "no-cache"),
        ];
        router.route(path, get(move || async move { (headers, text) }))
    })
}
