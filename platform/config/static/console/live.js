// Parts of a page that htmx refreshes (console/components/live.html).

// A part whose last request failed is marked as stale: its note becomes visible.
document.addEventListener("htmx:afterRequest", (event) => {
  const part = event.target.closest("[data-live]");
  part?.toggleAttribute("data-stale", !event.detail.successful);
});

// A response from another address is a redirect, for example to the login page: load the page again.
document.addEventListener("htmx:beforeSwap", (event) => {
  const part = event.detail.target.closest("[data-live]");
  const address = event.detail.xhr.responseURL;
  if (!part || !address || new URL(address).pathname === part.getAttribute("hx-get")) return;
  event.detail.shouldSwap = false;
  window.location.reload();
});
