// Sends the row of a form to its endpoint, and shows what comes back. No library, no address but this server's.
"use strict";

let token = "";

function headers() {
  const found = { "Content-Type": "application/json" };
  if (token) found.Authorization = `Bearer ${token}`;
  return found;
}

/** The JSON text of a control's value; undefined: it is left out. Numbers stay texts, so none of their digits is lost. */
function valueOf(control) {
  const text = control.value.trim();
  const { kind } = control.dataset;
  if (text === "") {
    if ("optional" in control.dataset) return undefined;
    if ("nullable" in control.dataset) return "null";
    return kind === "string" || kind === "category" ? '""' : "null";
  }
  if (kind === "boolean") return text;
  const number = kind === "integer" ? /^-?(0|[1-9]\d*)$/ : /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
  if ((kind === "integer" || kind === "float") && number.test(text)) return text;
  if (kind === "timestamp") return JSON.stringify(/T\d\d:\d\d$/.test(text) ? `${text}:00Z` : `${text}Z`);
  return JSON.stringify(kind === "string" || kind === "category" ? control.value : text);
}

function bodyOf(form) {
  const fields = [...form.querySelectorAll("[data-kind]")]
    .map((control) => [control.name, valueOf(control)])
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${JSON.stringify(name)}: ${value}`);
  const subject = form.querySelector("[data-subject]").value.trim();
  return `{"rows": [{${fields.join(", ")}}]${subject ? `, "subject": ${JSON.stringify(subject)}` : ""}}`;
}

function curlOf(path, body) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const authorised = token ? " \\\n  -H 'Authorization: Bearer '\"$TOKEN\"" : "";
  return `curl -s ${quoted(location.origin + path)}${authorised} \\\n  -d ${quoted(body)}`;
}

function say(place, text) {
  place.textContent = text;
  place.hidden = !text;
}

function clear(form) {
  for (const place of form.querySelectorAll(".problem")) say(place, "");
  for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
}

/** Shows a refusal at the field that it names, or below the form. */
function refuse(form, error) {
  const message = typeof error === "string" ? error : error?.message ?? "The server did not say why.";
  const name = /^rows\[0\]\.(.*)$/s.exec(error?.field ?? "")?.[1];
  const control = [...form.querySelectorAll("[data-kind]")].find((one) => one.name === name);
  if (!control) return say(form.querySelector(":scope > .problem"), message);
  say(document.getElementById(`${control.id}-problem`), message);
  control.setAttribute("aria-invalid", "true");
  control.focus();
}

function told(value) {
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(6)));
  return typeof value === "object" && value !== null
    ? Object.entries(value).map(([name, part]) => `${name} ${told(part)}`).join("\n")
    : String(value);
}

function show(form, answer, body) {
  const list = form.querySelector("dl");
  const { prediction_id, ...said } = answer.predictions[0];
  const version = `${answer.model}/${answer.version}, ${answer.variant}`;
  list.replaceChildren();
  for (const [name, value] of Object.entries({ ...said, version, prediction_id })) {
    const row = document.createElement("div");
    const term = document.createElement("dt");
    const text = document.createElement("dd");
    term.textContent = name.replaceAll("_", " ");
    text.textContent = told(value);
    if (name === "prediction") row.className = "main";
    row.append(term, text);
    list.append(row);
  }
  form.querySelector("[data-json]").textContent = JSON.stringify(answer, null, 2);
  form.querySelector("[data-curl]").textContent = curlOf(form.dataset.path, body);
  form.querySelector(".answer").hidden = false;
}

async function predict(form) {
  const state = form.querySelector(".state");
  const body = bodyOf(form);
  clear(form);
  form.querySelector(".answer").hidden = true;
  state.textContent = "…";
  const began = performance.now();
  try {
    const answer = await fetch(form.dataset.path, { method: "POST", headers: headers(), body });
    const found = await answer.json();
    state.textContent = `${answer.status} in ${(performance.now() - began).toFixed(0)} ms`;
    if (answer.ok) show(form, found, body);
    else refuse(form, found.error);
  } catch (error) {
    state.textContent = "";
    refuse(form, `The server does not answer: ${error.message}`);
  }
}

async function unlock(form) {
  clear(form);
  token = form.querySelector("input").value;
  const problem = form.querySelector(".problem");
  try {
    const answer = await fetch(`${document.body.dataset.root}/docs/forms`, { headers: headers() });
    if (!answer.ok) return say(problem, answer.status === 401 ? "This token is not the server's." : `The server answered ${answer.status}.`);
    const read = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.getElementById("forms").replaceChildren(...read.body.childNodes);
    document.querySelector("main summary")?.focus();
  } catch (error) {
    say(problem, `The server does not answer: ${error.message}`);
  }
}

document.addEventListener("submit", (event) => {
  event.preventDefault();
  if ("token" in event.target.dataset) unlock(event.target);
  else predict(event.target);
});
