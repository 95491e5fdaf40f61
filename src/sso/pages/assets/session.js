// Keeps a page in step with its browser session. Embed it in the application's pages:
//
//   <script type="module" src="/_sidegate/assets/session.js"></script>
//
// It warns before the session ends, extends it on request, tells other tabs, and when the session is over offers a login in a
// window of its own, so that nothing typed on the page is lost. It never leaves the page by itself. `?activity` behind the
// URL makes typing and clicking count as activity; `?warn=120` warns two minutes ahead (else five).

const texts = {/*texts*/};
const here = new URL(import.meta.url);
const prefix = new URL("..", here).pathname;
const warnAhead = 1000 * (Number(here.searchParams.get("warn")) || 300);
const channel = new BroadcastChannel(`sidegate-session ${prefix}`);

// What is known. `ends`: when, in milliseconds since 1970; null while nobody is logged in. `over`: it was there and is gone.
let known = { username: null, ends: null, extendable: false, over: false };
let asked = 0;
let timer;
let dismissed = false;
let waiting = [];

/** What is known of the session: `{ username, ends, extendable, over }`. Changes fire `sidegate-session` on `window`. */
export const session = () => ({ ...known });

/** Extends the session. Resolves to what is known then. */
export const extend = () => ask("POST");

/** Opens the login in a window. Resolves once this browser has a session again; a failed request can then be sent again. */
export function login() {
  const url = `${prefix}login?next=${encodeURIComponent(`${prefix}done`)}`;
  const popup = open(url, "sidegate-login", "popup,width=480,height=760");
  if (!popup) {
    show("ended");
  }
  return new Promise((resolve) => waiting.push(resolve));
}

async function ask(method = "GET") {
  asked = Date.now();
  let told;
  let status;
  try {
    const response = await fetch(`${prefix}session`, {
      method,
      headers: { accept: "application/json" },
      cache: "no-store",
      credentials: "same-origin",
      redirect: "error",
    });
    status = response.status;
    told = await response.json();
  } catch {
    told = undefined;
  }
  if (status === 200 && told?.authenticated) {
    learn({ username: told.username, ends: Date.now() + 1000 * told.expires_in, extendable: told.can_be_extended, over: false }, true);
  } else if (status === 401 && told?.authenticated === false) {
    learn({ ...known, ends: null, over: known.over || known.ends !== null }, true);
  } else {
    // No answer says nothing about the session: neither the network's trouble nor the server's ends it.
    plan(30_000);
  }
  return session();
}

// One tab asks, the others hear: whoever gets the lock after an answer came has nothing to ask any more.
async function askOnce() {
  const since = Date.now();
  const once = () => (asked >= since ? undefined : ask());
  await (navigator.locks ? navigator.locks.request(channel.name, once) : once());
}

function learn(next, tell) {
  const other = known.username !== null && next.username !== known.username;
  const before = known;
  known = next;
  asked = Date.now();
  if (tell) {
    channel.postMessage({ kind: "known", known });
  }
  if (next.ends !== null) {
    waiting.splice(0).forEach((resolve) => resolve(session()));
  }
  if (next.over !== before.over || next.ends > before.ends + 1000) {
    dismissed = false;
  }
  look(other);
  dispatchEvent(new CustomEvent("sidegate-session", { detail: session() }));
}

// What is to be seen now, and when to look again.
function look(other = false) {
  const left = known.ends - Date.now();
  if (other || shown === "other_user") {
    show("other_user");
  } else if (known.over) {
    if (!dismissed) show("ended");
  } else if (known.ends === null) {
    hide();
  } else if (left > warnAhead) {
    hide();
    plan(left - warnAhead, askOnce);
  } else if (left > 0) {
    if (!dismissed) show(left < 120_000 ? "expiring_soon" : "expiring", left);
    plan(Math.min(left, 10_000), left < 15_000 ? askOnce : look);
  } else {
    plan(2_000, askOnce);
  }
}

function plan(after, then = askOnce) {
  clearTimeout(timer);
  // A longer wait than 24 days would be none at all, and a computer may sleep.
  timer = setTimeout(() => then(), Math.min(after, 600_000));
}

channel.addEventListener("message", ({ data }) => {
  if (data.kind === "known") learn(data.known, false);
  if (data.kind === "renewed") ask();
});
addEventListener("visibilitychange", () => {
  if (!document.hidden && Date.now() - asked > 5_000) askOnce();
});

if (here.searchParams.has("activity")) {
  let extended = Date.now();
  const active = () => {
    if (known.ends !== null && known.extendable && !document.hidden && Date.now() - extended > 60_000) {
      extended = Date.now();
      ask("POST");
    }
  };
  for (const kind of ["pointerdown", "keydown", "wheel", "touchstart"]) {
    addEventListener(kind, active, { passive: true, capture: true });
  }
}

// === what is seen ===

const words = [document.documentElement.lang, ...navigator.languages]
  .flatMap((tag) => [tag, tag.split("-")[0]])
  .map((tag) => texts[tag])
  .find((found) => found) ?? texts.en;

const style = new CSSStyleSheet();
style.replaceSync(`
  :host { all: initial; }
  section { position: fixed; z-index: 2147483647; inset-block-end: 1rem; inset-inline: 1rem; margin-inline: auto; max-width: 34rem;
    box-sizing: border-box; padding: 1rem 1.25rem; display: flex; flex-wrap: wrap; gap: .75rem; align-items: center;
    font: 16px/1.4 system-ui, sans-serif; color: #1b2330; background: #fff; border: 1px solid #7b879b; border-radius: 12px;
    box-shadow: 0 8px 32px rgb(0 0 0 / 25%); }
  p { margin: 0; flex: 1 1 14rem; }
  button { min-height: 2.5rem; padding: 0 1rem; font: inherit; font-weight: 600; border: 1px solid #1558c0; border-radius: 8px;
    background: #1558c0; color: #fff; cursor: pointer; }
  button.second { background: transparent; color: inherit; border-color: #7b879b; }
  button:focus-visible { outline: 3px solid #1558c0; outline-offset: 2px; }
  @media (prefers-color-scheme: dark) {
    section { color: #e8ecf3; background: #1a202a; border-color: #77849a; }
    button { background: #8ab6ff; border-color: #8ab6ff; color: #0b1a33; }
    button:focus-visible { outline-color: #8ab6ff; }
  }
`);
let box;
let shown;

function show(what, left = 0) {
  const text = words[what]
    .replace("{minutes}", Math.ceil(left / 60_000))
    .replace("{seconds}", Math.ceil(left / 1000))
    .replace("{user}", `\u2068${known.username}\u2069`);
  if (shown === what) {
    box.querySelector("p").textContent = text;
    return;
  }
  hide();
  shown = what;
  box = document.createElement("section");
  // Spoken at once when something is to be done now, else when the reader pauses.
  box.setAttribute("role", what.startsWith("expiring") ? "status" : "alert");
  const paragraph = document.createElement("p");
  paragraph.textContent = text;
  box.append(paragraph);
  if (what === "ended") button("login", login);
  if (what === "other_user") button("reload", () => location.reload());
  if (what.startsWith("expiring") && known.extendable) button("extend", extend);
  if (what.startsWith("expiring") && !known.extendable) button("login", login);
  button("later", () => {
    dismissed = true;
    hide();
  }).className = "second";
  const host = document.createElement("sidegate-session");
  const root = host.attachShadow({ mode: "open" });
  root.adoptedStyleSheets = [style];
  root.append(box);
  document.body.append(host);
}

function button(label, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = words[label];
  made.addEventListener("click", () => act());
  box.append(made);
  return made;
}

function hide() {
  box?.getRootNode().host.remove();
  box = undefined;
  shown = undefined;
}

ask();
