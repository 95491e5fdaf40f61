//! What each page shows. Plain data of the door's: every text in it is escaped by the template, so nothing here need be.
//!
//! Links are paths on the public URL's host (`/_sidegate/login?next=%2F`), already percent-encoded.

use serde::Serialize;

use super::reason::Reason;

/// The login page: the selector, the form, or both.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Login<'a> {
    /// Ways to log in, in order; empty when there is only the form.
    pub entries: Vec<Entry<'a>>,
    /// The form for user name and password.
    pub form: Option<PasswordForm<'a>>,
    /// Why the person is here again: what went wrong with the last attempt, or how the session ended.
    pub notice: Option<Notice>,
    /// A link back to all ways to log in, on the page of one provider's form.
    pub others: Option<&'a str>,
    /// The request's id; shown with a notice.
    pub request_id: &'a str,
}

/// One way to log in.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Entry<'a> {
    /// The provider's name; its text when there is no description.
    pub name: &'a str,
    /// `saml`, `oidc`, `password`, `kerberos`, `pki` or `anonymous`: chooses the icon and the text when nothing else does.
    pub kind: &'a str,
    /// Its text.
    pub description: Option<&'a str>,
    /// A second, smaller line.
    pub hint: Option<&'a str>,
    /// An icon of [`super::icons::ICONS`]; an unknown one is as none.
    pub icon: Option<&'a str>,
    /// Where it begins: `{prefix}login/<name>?next=..`. With JavaScript, `&fragment=..` is added: the page's own, encoded.
    pub href: &'a str,
    /// Whether it was the last one used in this browser.
    pub last: bool,
}

/// A hidden field of a form.
#[derive(Clone, Debug, Serialize)]
pub struct Field<'a> {
    /// Name.
    pub name: &'a str,
    /// Value.
    pub value: &'a str,
}

/// The form for user name and password. Its fields are `username`, `password`, `fragment` (filled with JavaScript) and the hidden ones.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PasswordForm<'a> {
    /// Where it is sent.
    pub action: &'a str,
    /// The provider's name.
    pub provider: &'a str,
    /// Text above it, when there are other ways too.
    pub description: Option<&'a str>,
    /// What the person typed before.
    pub username: &'a str,
    /// CSRF token, target and whatever else must come back.
    pub hidden: Vec<Field<'a>>,
}

/// What went wrong, above a form.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Notice {
    /// The code.
    pub reason: Reason,
    /// Seconds until it makes sense to try again.
    pub retry_after: Option<u64>,
}

/// A page that says what went wrong, and what can be done now. Its status is the reason's.
#[derive(Clone, Debug, Serialize)]
pub struct Failed<'a> {
    /// The code.
    pub reason: Reason,
    /// The request's id, to be found in the log.
    pub request_id: &'a str,
    /// The provider's text or name.
    pub provider: Option<&'a str>,
    /// Who it is about, when they are known: on pages about missing permissions.
    pub user: Option<User<'a>>,
    /// Seconds until it makes sense to try again.
    pub retry_after: Option<u64>,
    /// The same again: begins a new attempt.
    pub retry: Option<&'a str>,
    /// All ways to log in.
    pub login: Option<&'a str>,
    /// Ends the session, so that another person can log in.
    pub logout: Option<&'a str>,
    /// The application.
    pub home: Option<&'a str>,
}

impl<'a> Failed<'a> {
    /// A page with nothing but its reason.
    pub const fn new(reason: Reason, request_id: &'a str) -> Self {
        Self {
            reason,
            request_id,
            provider: None,
            user: None,
            retry_after: None,
            retry: None,
            login: None,
            logout: None,
            home: None,
        }
    }
}

/// Somebody.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct User<'a> {
    /// User name.
    pub username: &'a str,
    /// Realm.
    pub realm: &'a str,
}

/// The page after a logout, which waits for a click so that nobody is logged in again at once.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LoggedOut<'a> {
    /// How the session ended, when it was not by the person's own logout.
    pub reason: Option<Reason>,
    /// Whether every session of the user was ended.
    pub everywhere: bool,
    /// Where to log in again.
    pub login: &'a str,
    /// The request's id; shown with a reason.
    pub request_id: &'a str,
}

/// What people must agree to before they go on. The form's button is `answer=accept`; declining is a link.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Agreement<'a> {
    /// The text; empty lines part its paragraphs.
    pub message: &'a str,
    /// Where the form is sent.
    pub action: &'a str,
    /// CSRF token, target and whatever else must come back.
    pub hidden: Vec<Field<'a>>,
    /// Where declining leads: a logout.
    pub decline: &'a str,
    /// Who is asked.
    pub user: Option<User<'a>>,
}

/// Another user logged in over a session.
#[derive(Clone, Debug, Serialize)]
pub struct Overwritten<'a> {
    /// Who was logged in before.
    pub before: User<'a>,
    /// Who is now.
    pub now: User<'a>,
    /// On to the application.
    pub proceed: &'a str,
    /// Ends the new session too.
    pub logout: &'a str,
}

/// A form that sends itself again from our own site, so that cookies come along which a cross-site `POST` leaves behind.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Bounce<'a> {
    /// Where it is sent: the callback itself.
    pub action: &'a str,
    /// What came in, and a mark that it was sent again.
    pub fields: Vec<Field<'a>>,
}

/// Takes the fragment of its own URL along to where the login begins. Without JavaScript it goes on without the fragment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Capture<'a> {
    /// Where to go on; holds a `?`. `&fragment=..` is added when there is a fragment: without `#`, encoded, at most 2048 bytes.
    pub proceed: &'a str,
}

/// Takes the fragment of an implicit flow's response (OpenID Connect Core §3.2) to the server: `POST` to `action` with the field
/// `response`, the fragment without `#`. Needs JavaScript.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Implicit<'a> {
    /// Where the form is sent.
    pub action: &'a str,
    /// Whatever else must come back.
    pub hidden: Vec<Field<'a>>,
    /// All ways to log in, for a browser without JavaScript.
    pub login: &'a str,
}

/// A logout that waits for a click, when a link from another site asked for it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Confirm<'a> {
    /// Where the form is sent.
    pub action: &'a str,
    /// CSRF token and whatever else must come back.
    pub hidden: Vec<Field<'a>>,
    /// Back to the application.
    pub home: &'a str,
    /// Who is logged in.
    pub user: Option<User<'a>>,
    /// Whether logging out everywhere is offered: the button `everywhere=true`.
    pub everywhere: bool,
}
