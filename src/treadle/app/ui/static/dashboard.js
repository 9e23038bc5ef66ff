// The dashboard without a framework: theme, live refresh, keys, and pictures to take away. Pages work without it, but do not refresh themselves.
"use strict";
(() => {
  const root = document.documentElement;
  const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const themed = (theme) => { if (theme) root.dataset.theme = theme; else delete root.dataset.theme; };
  themed(stored());

  function turnTheme() {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    themed(dark ? "light" : "dark");
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* a private window keeps nothing */ }
  }

  // What somebody is doing is not taken away from under their hands: a field with text, an open form, a chosen text.
  function isBusy() {
    const at = document.activeElement;
    if (at && at.closest("form") && at.matches("input, select, textarea")) return true;
    if ([...document.querySelectorAll("main form.do input:not([type=hidden])")].some((field) => field.value)) return true;
    const chosen = getSelection();
    return Boolean(chosen && !chosen.isCollapsed) || Boolean(document.querySelector("dialog[open]"));
  }

  let asked = false, under = null;
  async function refresh() {
    if (document.hidden || isBusy() || under) { asked = true; return; }
    asked = false;
    under = new AbortController();
    try {
      const answer = await fetch(location.href, { headers: { "X-Refresh": "1" }, signal: under.signal });
      if (!answer.ok || answer.redirected) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
      const here = document.querySelector("main");
      if (!fresh || !here || isBusy() || !window.Idiomorph) return;
      for (const notice of here.querySelectorAll(".notice")) fresh.querySelector("header")?.after(notice.cloneNode(true));
      const log = here.querySelector("pre.log"), follows = log && log.scrollTop + log.clientHeight > log.scrollHeight - 40;
      Idiomorph.morph(here, fresh, {
        ignoreActiveValue: true,
        callbacks: {
          // Whatever somebody has opened stays open.
          beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS"),
        },
      });
      // Whoever reads the end of a log goes on reading its end.
      if (follows) { const now = here.querySelector("#log pre.log"); if (now) now.scrollTop = now.scrollHeight; }
      prepared();
    } catch { /* the server is away: the stream says so */ } finally { under = null; }
  }

  function live() {
    const state = (text, to) => document.querySelectorAll(".live").forEach((at) => {
      at.hidden = false; at.dataset.state = to; at.textContent = text;
    });
    if (!window.EventSource) return;
    const stream = new EventSource(root.dataset.live);
    stream.onopen = () => state("Live", "on");
    stream.onerror = () => state("Not connected", "off");
    let waiting = 0;
    stream.addEventListener("changed", () => { clearTimeout(waiting); waiting = setTimeout(refresh, 300); });
    // A run under way prints and logs without a word in the ledger: its page names a stream of its own.
    const followed = document.querySelector("[data-follow]");
    if (followed) {
      const own = new EventSource(followed.dataset.follow);
      own.addEventListener("changed", () => { clearTimeout(waiting); waiting = setTimeout(refresh, 300); });
      addEventListener("pagehide", () => own.close());
    }
    // Ages and what servers count move without a word in the ledger.
    setInterval(refresh, 30000);
    setInterval(() => { if (asked) refresh(); }, 2000);
    document.addEventListener("visibilitychange", () => { if (!document.hidden && asked) refresh(); });
    addEventListener("pagehide", () => stream.close());
  }

  async function picture(link) {
    const image = new Image();
    image.src = link.href;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = 2 * image.naturalWidth; canvas.height = 2 * image.naturalHeight;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => {
      const away = document.createElement("a");
      away.href = URL.createObjectURL(blob); away.download = link.download; away.click();
      setTimeout(() => URL.revokeObjectURL(away.href), 1000);
    }, "image/png");
  }

  const rows = () => [...document.querySelectorAll("main [data-row], main table.rows tbody tr")];
  function step(by) {
    const all = rows(), at = all.indexOf(document.activeElement.closest("[data-row], table.rows tbody tr"));
    const next = all[Math.min(Math.max(at + by, 0), all.length - 1)];
    if (next) (next.querySelector("a") || next).focus();
  }

  let before = "";
  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, select, textarea")) { if (event.key === "Escape") event.target.blur(); return; }
    const leads = before === "g" && document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (leads) leads.click();
    else if (event.key === "?") document.getElementById("keys").showModal();
    else if (event.key === "/") { const field = document.querySelector("main input:not([type=hidden]), main select"); if (field) { event.preventDefault(); field.focus(); } }
    else if (event.key === "t" && before !== "g") turnTheme();
    else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    before = event.key === "g" ? "g" : "";
    if (before) setTimeout(() => { before = ""; }, 1500);
  }

  function prepared() {
    for (const link of document.querySelectorAll("a[data-png]")) link.hidden = false;
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("button.theme")) { button.hidden = false; button.addEventListener("click", turnTheme); }
    document.addEventListener("keydown", key);
    document.addEventListener("click", (event) => {
      const link = event.target.closest("a[data-png]");
      if (link) { event.preventDefault(); picture(link); }
    });
    for (const log of document.querySelectorAll("#log pre.log")) log.scrollTop = log.scrollHeight;
    prepared();
    live();
  });
})();
