//! Sample data for every page: what templates are tried with before they are used, and what tests and screenshots show.

use minijinja::value::Serde;
use minijinja::{Value, context};

use super::context::{
    Agreement, Bounce, Capture, Confirm, Entry, Failed, Field, Implicit, LoggedOut, Login, Notice,
    Overwritten, PasswordForm, User,
};
use super::reason::Reason;

const ID: &str = "01JD8Q5W9V7T3M";

/// A page to try.
pub struct Sample {
    /// Name of its template.
    pub template: &'static str,
    /// Its `page`.
    pub page: Value,
    /// What else the template is given.
    pub more: Value,
}

fn sample(template: &'static str, page: impl serde::Serialize, more: Value) -> Sample {
    Sample {
        template,
        page: Value::from(Serde(page)),
        more,
    }
}

/// Every page at its fullest and at its barest, and the page of every reason.
pub fn all() -> Vec<Sample> {
    let none = || Value::from(());
    let mut samples = vec![
        sample("login.html", login(None), context! { notice_class => "" }),
        sample(
            "login.html",
            login(Some(Reason::PasswordWrong)),
            context! { notice_class => "bad" },
        ),
        sample(
            "login.html",
            Login::default(),
            context! { notice_class => "" },
        ),
        sample("logged-out.html", LoggedOut::default(), none()),
        sample("logged-out.html", logged_out(), none()),
        sample(
            "agreement.html",
            agreement(),
            context! { paragraphs => ["One.", "Two."] },
        ),
        sample("overwritten.html", overwritten(), none()),
        sample("bounce.html", bounce(), none()),
        sample("capture.html", capture(), none()),
        sample("implicit.html", implicit(), none()),
        sample("confirm.html", confirm(), none()),
        sample("confirm.html", Confirm::default(), none()),
        sample("done.html", (), none()),
    ];
    for reason in Reason::ALL {
        let more = context! { class => reason.class().label() };
        samples.push(sample("failed.html", failed(*reason), more.clone()));
        samples.push(sample("failed.html", Failed::new(*reason, ""), more));
    }
    samples
}

/// A selector of every kind, with the form.
pub fn login(reason: Option<Reason>) -> Login<'static> {
    let entry = |name, kind, description, hint, last| Entry {
        name,
        kind,
        description,
        hint,
        icon: None,
        href: "/_sidegate/login/corporate?next=%2F",
        last,
    };
    Login {
        entries: vec![
            entry(
                "corporate",
                "saml",
                Some("Company account"),
                Some("For everybody with an e-mail address at example.com"),
                true,
            ),
            entry("partners", "oidc", Some("Partner account"), None, false),
            entry("desktop", "kerberos", None, None, false),
            entry("smartcard", "pki", None, None, false),
            entry("guest", "anonymous", None, None, false),
        ],
        form: Some(form(reason)),
        notice: reason.map(|reason| Notice {
            reason,
            retry_after: None,
        }),
        others: None,
        request_id: ID,
    }
}

/// The form alone.
pub fn form(reason: Option<Reason>) -> PasswordForm<'static> {
    PasswordForm {
        action: "/_sidegate/login/password",
        provider: "password",
        description: None,
        username: if reason.is_some() { "mira" } else { "" },
        hidden: fields(),
    }
}

fn fields() -> Vec<Field<'static>> {
    vec![
        Field {
            name: "csrf",
            value: "QmFzZTY0",
        },
        Field {
            name: "next",
            value: "/reports?year=2026",
        },
    ]
}

const MIRA: User<'static> = User {
    username: "mira",
    realm: "corporate",
};

/// A failure with every way on.
pub fn failed(reason: Reason) -> Failed<'static> {
    Failed {
        provider: Some("Company account"),
        user: matches!(reason, Reason::NoRoles).then_some(MIRA),
        retry_after: matches!(reason, Reason::TooManyFailures).then_some(180),
        retry: Some("/_sidegate/login/corporate?next=%2F"),
        login: Some("/_sidegate/login?next=%2F"),
        logout: Some("/_sidegate/logout"),
        home: Some("/"),
        ..Failed::new(reason, ID)
    }
}

/// A session that ended by itself.
pub fn logged_out() -> LoggedOut<'static> {
    LoggedOut {
        reason: Some(Reason::SessionIdle),
        everywhere: false,
        login: "/_sidegate/login",
        request_id: ID,
    }
}

/// Two paragraphs.
pub fn agreement() -> Agreement<'static> {
    Agreement {
        message: "This system belongs to Example Ltd. and is for authorised use only. What you do here is recorded.\n\nBy going on you agree to the rules for using information systems, and that records may be passed on to the authorities where the law asks for it.",
        action: "/_sidegate/agreement",
        hidden: fields(),
        decline: "/_sidegate/logout",
        user: Some(MIRA),
    }
}

/// One user after another.
pub fn overwritten() -> Overwritten<'static> {
    Overwritten {
        before: MIRA,
        now: User {
            username: "administrator",
            realm: "native",
        },
        proceed: "/reports?year=2026",
        logout: "/_sidegate/logout",
    }
}

/// A SAML response on its way.
pub fn bounce() -> Bounce<'static> {
    Bounce {
        action: "/_sidegate/saml/corporate/acs",
        fields: vec![Field {
            name: "SAMLResponse",
            value: "PHNhbWw+",
        }],
    }
}

/// The beginning of the only provider's login.
pub fn capture() -> Capture<'static> {
    Capture {
        proceed: "/_sidegate/login/corporate?next=%2F",
    }
}

/// The end of an implicit flow.
pub fn implicit() -> Implicit<'static> {
    Implicit {
        action: "/_sidegate/oidc/partners/callback",
        hidden: Vec::new(),
        login: "/_sidegate/login",
    }
}

/// A logout that asks.
pub fn confirm() -> Confirm<'static> {
    Confirm {
        action: "/_sidegate/logout",
        hidden: fields(),
        home: "/",
        user: Some(MIRA),
        everywhere: true,
    }
}
