//! What is true of each credential at each moment, and so which answers are right.
//!
//! Whatever changes while a request is under way widens what its answer may be; nothing else does. 503 is right only while the
//! authority is out of reach, and shortly after.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::harness::client::Reply;
use crate::harness::plan::Running;

/// Told when the run is over.
#[derive(Default)]
pub(super) struct Over(Mutex<bool>, Condvar);

impl Over {
    pub(super) fn set(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }

    /// Waits for so long, or until it is over. Whether the run goes on.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let guard = self.0.lock().unwrap();
        let waited = self.1.wait_timeout_while(guard, time, |over| !*over);
        !*waited.unwrap().0
    }
}

/// What holds for a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    /// Let in.
    Good,
    /// Known, and without the privilege.
    Denied,
    /// Not accepted.
    Dead,
    /// Being changed.
    Unsure,
}

/// A credential, and what holds for it.
pub(super) struct Credential {
    pub(super) authorization: String,
    truth: Mutex<Truth>,
    /// From the first moment on it may be dead, from the second on it is.
    ends: Option<(Instant, Instant)>,
}

impl Credential {
    pub(super) fn set(&self, truth: Truth) {
        *self.truth.lock().unwrap() = truth;
    }

    fn truth(&self) -> Truth {
        let now = Instant::now();
        match self.ends {
            Some((_, dead)) if now >= dead => Truth::Dead,
            Some((unsure, _)) if now >= unsure => Truth::Unsure,
            _ => *self.truth.lock().unwrap(),
        }
    }
}

/// What the route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// What every good credential holds.
    Open,
    /// What a reload changes.
    Toggled,
}

/// Who may come in at the toggled route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Toggle {
    #[default]
    Everybody,
    Nobody,
    Unsure,
}

/// When the authority was out of reach.
#[derive(Clone, Copy, Default)]
struct Outage {
    now: bool,
    /// Until when requests may still suffer from the latest one.
    until: Option<Instant>,
}

/// All of it.
#[derive(Default)]
pub(super) struct Model {
    credentials: Mutex<Vec<Arc<Credential>>>,
    toggle: Mutex<Toggle>,
    outage: Mutex<Outage>,
    wrong: Mutex<Vec<String>>,
    judged: AtomicUsize,
    exact: AtomicUsize,
    unavailable: AtomicUsize,
    pub(super) changes: AtomicUsize,
    pub(super) reloads: AtomicUsize,
    pub(super) outages: AtomicUsize,
    pub(super) tunnels: AtomicUsize,
    pub(super) streams: AtomicUsize,
}

/// What is expected of a request that is about to be sent.
pub(super) struct Expectation {
    began: Instant,
    out_of_reach: bool,
    credential: Arc<Credential>,
    place: Place,
    right: BTreeSet<u16>,
}

impl Model {
    /// One more credential, good or not, until these moments.
    pub(super) fn add(
        &self,
        authorization: String,
        truth: Truth,
        ends: Option<(Instant, Instant)>,
    ) -> Arc<Credential> {
        let credential = Arc::new(Credential {
            authorization,
            truth: Mutex::new(truth),
            ends,
        });
        let mut all = self.credentials.lock().unwrap();
        all.push(Arc::clone(&credential));
        // Those who stay come first; of the others the oldest goes.
        if all.len() > 60 {
            all.remove(10);
        }
        credential
    }

    /// Any credential, by a number.
    pub(super) fn pick(&self, number: usize) -> Arc<Credential> {
        let all = self.credentials.lock().unwrap();
        Arc::clone(&all[number % all.len()])
    }

    pub(super) fn set_toggle(&self, toggle: Toggle) {
        *self.toggle.lock().unwrap() = toggle;
    }

    /// The authority is out of reach from now on.
    pub(super) fn begin_outage(&self) {
        self.outage.lock().unwrap().now = true;
        self.outages.fetch_add(1, Ordering::SeqCst);
    }

    /// It is back; who asked before may hear of it for so long.
    pub(super) fn end_outage(&self, grace: Duration) {
        let mut outage = self.outage.lock().unwrap();
        outage.now = false;
        outage.until = Some(Instant::now() + grace);
    }

    fn is_out_of_reach(&self, since: Instant) -> bool {
        let outage = *self.outage.lock().unwrap();
        outage.now || outage.until.is_some_and(|until| until > since)
    }

    fn right(&self, credential: &Credential, place: Place) -> BTreeSet<u16> {
        let toggle = match place {
            Place::Open => Toggle::Everybody,
            Place::Toggled => *self.toggle.lock().unwrap(),
        };
        let good: &[u16] = match toggle {
            Toggle::Everybody => &[200],
            Toggle::Nobody => &[403],
            Toggle::Unsure => &[200, 403],
        };
        let mut right = BTreeSet::new();
        match credential.truth() {
            Truth::Good => right.extend(good),
            Truth::Denied => right.extend([403_u16]),
            Truth::Dead => right.extend([401_u16]),
            Truth::Unsure => {
                right.extend(good);
                right.extend([401_u16]);
            }
        }
        right
    }

    /// Before a request is sent.
    pub(super) fn expect(&self, credential: &Arc<Credential>, place: Place) -> Expectation {
        let began = Instant::now();
        Expectation {
            began,
            out_of_reach: self.is_out_of_reach(began),
            credential: Arc::clone(credential),
            place,
            right: self.right(credential, place),
        }
    }

    /// After its answer has come.
    pub(super) fn judge(
        &self,
        before: &Expectation,
        what: &str,
        status: u16,
        reason: Option<&str>,
    ) {
        self.judged.fetch_add(1, Ordering::SeqCst);
        let after = self.right(&before.credential, before.place);
        let right: BTreeSet<u16> = before.right.union(&after).copied().collect();
        if right.len() == 1 {
            self.exact.fetch_add(1, Ordering::SeqCst);
        }
        if status == 503 && (before.out_of_reach || self.is_out_of_reach(before.began)) {
            self.unavailable.fetch_add(1, Ordering::SeqCst);
        } else if !right.contains(&status) {
            self.mistake(format!(
                "{what} of {} at {:?}: {status} {reason:?}, right is {right:?}",
                before.credential.authorization, before.place,
            ));
        }
    }

    /// The same for a whole reply.
    pub(super) fn judge_reply(&self, before: &Expectation, what: &str, reply: &Reply) {
        self.judge(before, what, reply.status, reply.refusal());
        if (reply.status == 200) != (reply.text() == super::world::ANSWER) {
            self.mistake(format!("{what}: {} with {:?}", reply.status, reply.text()));
        }
    }

    /// Something that must not be.
    pub(super) fn mistake(&self, what: String) {
        let mut wrong = self.wrong.lock().unwrap();
        if wrong.len() < 50 {
            wrong.push(what);
        }
    }

    /// What was done, for people.
    pub(super) fn figures(&self) -> String {
        let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        format!(
            "requests judged: {}\nof these with one right answer: {}\n503 while the authority was out of reach: {}\ncredentials changed: {}\nreloads: {}\noutages: {}\ntunnels: {}\nevent streams: {}\n",
            count(&self.judged),
            count(&self.exact),
            count(&self.unavailable),
            count(&self.changes),
            count(&self.reloads),
            count(&self.outages),
            count(&self.tunnels),
            count(&self.streams),
        )
    }

    /// Fails if any answer was wrong, or if too little was done to say so.
    pub(super) fn is_right(&self, gate: &Running) {
        let wrong = self.wrong.lock().unwrap();
        assert!(
            wrong.is_empty(),
            "{}\n{}",
            wrong.join("\n"),
            gate.process.stderr.text()
        );
        let judged = self.judged.load(Ordering::SeqCst);
        let exact = self.exact.load(Ordering::SeqCst);
        assert!(exact > 50 && exact * 2 > judged, "{}", self.figures());
    }
}
