// What Sidegate's own pages do where there is JavaScript. Everything but the implicit flow also works without.

// A login begun for /report#chart=2 leads back there: browsers keep the fragment to themselves, so it is taken along.
const fragment = location.hash.slice(1, 2049);
if (fragment) {
  for (const link of document.querySelectorAll("a[data-fragment]")) {
    link.href += `${link.href.includes("?") ? "&" : "?"}fragment=${encodeURIComponent(fragment)}`;
  }
  for (const field of document.querySelectorAll("input[data-fragment]")) {
    field.value = fragment;
  }
}

// A double click sends a form once. Coming back by the back button, it can be sent again.
for (const form of document.querySelectorAll("form[data-once]")) {
  let sent = false;
  form.addEventListener("submit", (event) => {
    if (sent) {
      event.preventDefault();
      return;
    }
    sent = true;
    for (const button of form.querySelectorAll("button")) {
      button.setAttribute("aria-busy", "true");
    }
  });
  addEventListener("pageshow", () => {
    sent = false;
    for (const button of form.querySelectorAll("button")) {
      button.removeAttribute("aria-busy");
    }
  });
}

const follow = document.querySelector("a[data-follow]");
if (follow) {
  location.replace(follow.href);
}

const send = document.querySelector("form[data-send]");
if (send) {
  send.requestSubmit();
}

// The response of an implicit flow is a secret: out of the address bar and the history before anything else.
const response = document.querySelector("form[data-response]");
if (response) {
  response.elements.response.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname + location.search);
  response.requestSubmit();
}

// Other tabs' session.js looks again: somebody has logged in or out here. The window that it opened for a login closes.
const changed = document.querySelector("[data-done], [data-out]");
if (changed) {
  const prefix = new URL("..", import.meta.url).pathname;
  new BroadcastChannel(`sidegate-session ${prefix}`).postMessage({ kind: "renewed" });
  if ("done" in changed.dataset) close();
}
