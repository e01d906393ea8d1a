//! The page: the answers drawn in a browser. It is a few files as they are, without a build step.

use axum::Router;
use axum::http::{HeaderName, header};
use axum::routing::get;

/// A file of the page.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// Where it is.
    pub path: &'static str,
    /// Its content type.
    pub kind: &'static str,
    /// All of it.
    pub text: &'static str,
}

/// Every file of the page; the first is the page itself.
pub const FILES: [File; 7] = [
    File { path: "/", kind: "text/html; charset=utf-8", text: include_str!("page/index.html") },
    File { path: "/page/style.css", kind: "text/css; charset=utf-8", text: include_str!("page/style.css") },
    script("/page/dom.js", include_str!("page/dom.js")),
    script("/page/main.js", include_str!("page/main.js")),
    script("/page/plot.js", include_str!("page/plot.js")),
    script("/page/views.js", include_str!("page/views.js")),
    script("/page/words.js", include_str!("page/words.js")),
];

const fn script(path: &'static str, text: &'static str) -> File {
    File { path, kind: "text/javascript; charset=utf-8", text }
}

/// The page may ask this port and nothing else, runs nothing but these files, and no other page may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Where the page asks, as it says itself.
const ASKS: &str = r#"data-answers="debug/queue""#;

// === impl File ===

impl File {
    /// What is said of it.
    pub fn headers(&self) -> [(HeaderName, &'static str); 5] {
        [
            (header::CONTENT_TYPE, self.kind),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            // The next version's files may be others under the same names.
            (header::CACHE_CONTROL, "no-cache"),
        ]
    }

    /// The same for somebody who may not see everything, and asks below `answers`.
    pub fn text_for_tenants(&self, answers: &str) -> String {
        self.text.replace(ASKS, &format!(r#"data-answers="{answers}" data-tenants"#))
    }
}

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.into_iter().fold(Router::new(), |router, file| {
        router.route(file.path, get(move || async move { (file.headers(), file.text) }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_where_it_asks() {
        let told = FILES[0].text_for_tenants("queue");
        assert!(told.contains(r#"<html lang="en" data-answers="queue" data-tenants>"#), "{told}");
    }
}
