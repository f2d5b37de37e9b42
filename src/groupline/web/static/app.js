// Groupline in the browser. Pages work without this file wherever a form can do the work; it adds
// what docs/dashboard.md lists: forms without reloads, live regions, search, dialogs, toasts.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const LOGIN = "/login";
const PATIENCE = 120_000;

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Storage can be switched off in a browser; then nothing is remembered. */
function remember(act, otherwise) {
  try {
    return act() ?? otherwise;
  } catch {
    return otherwise;
  }
}

function drawIcon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

// ------------------------------------------------------------------ asking the server

/** What went wrong, in words for the person. */
class Problem extends Error {
  constructor(detail, hint = "", fields = {}) {
    super(detail);
    Object.assign(this, { hint, fields });
  }
}

/** What was asked for is not there, not for this person, or not open, any more. */
class Gone extends Problem {}

const GONE = new Set([403, 404, 409, 410]);

/** Fetches a page or fragment. Rejects with a Problem, or with AbortError when a newer request took over. */
async function ask(url, { signal, ...options } = {}) {
  const limit = AbortSignal.timeout(PATIENCE);
  const headers = { Accept: "text/html", "Groupline-Fragment": "1" };
  try {
    const response = await fetch(url, { ...options, headers, signal: signal ? AbortSignal.any([signal, limit]) : limit });
    if (isLoginNeeded(response)) return await goToLogin();
    const text = await response.text();
    if (response.headers.get("Content-Type")?.includes("json")) throw problemFrom(JSON.parse(text));
    return { response, page: new DOMParser().parseFromString(text, "text/html") };
  } catch (error) {
    if (error instanceof Problem || signal?.aborted) throw error;
    throw new Problem("Groupline did not answer.", "Check the connection. What you sent may not have been saved: look before you send it again.");
  }
}

function isLoginNeeded(response) {
  return location.pathname !== LOGIN && (response.status === 401 || new URL(response.url).pathname === LOGIN);
}

function goToLogin() {
  leaving = true;
  location.assign(`${LOGIN}?next=${encodeURIComponent(location.pathname + location.search)}`);
  return new Promise(() => {}); // the page is going away; nobody needs an answer any more
}

function problemFrom({ detail, title, hint, fields }) {
  return new Problem(detail ?? title ?? "That did not work.", hint, fields);
}

function problemOnPage(page, status) {
  const text = (name) => $(`[data-problem="${name}"]`, page)?.textContent.trim();
  const fields = Object.fromEntries($$("[data-problem-field]", page).map((item) => [item.dataset.problemField, item.textContent.trim()]));
  return new Problem(text("detail") ?? `Groupline answered with error ${status}.`, text("hint"), fields);
}

// ------------------------------------------------------------------ morphing: new content, same elements

let version = 0;
const busy = new WeakSet(); // what waits for an answer stays marked as busy, whatever arrives meanwhile

/** Replaces the parts of this page that the selectors name by those of another page. Says how many there were. */
function show(page, selectors) {
  const parts = selectors.split(/\s+/).filter((selector) => $(selector) && $(selector, page));
  if (parts.length && page.title && selectors.includes("#content")) document.title = page.title;
  version += 1;
  minding(() => {
    for (const selector of parts) morph($(selector), $(selector, page));
    settle();
  });
  return parts.length;
}

function morph(from, to) {
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
  } else if (from.matches("[data-keep]") || from.isEqualNode(to)) {
    return;
  } else if (from.matches("template")) {
    from.replaceWith(to);
  } else if (from.matches("input, textarea, select")) {
    morphControl(from, to);
  } else {
    morphAttributes(from, to);
    morphChildren(from, to);
  }
}

function morphAttributes(from, to) {
  const kept = from.matches("dialog, details") ? "open" : busy.has(from) ? "aria-busy" : "";
  for (const { name } of [...from.attributes]) if (name !== kept && !to.hasAttribute(name)) from.removeAttribute(name);
  for (const { name, value } of to.attributes) if (name !== kept && from.getAttribute(name) !== value) from.setAttribute(name, value);
}

function morphControl(from, to) {
  const typed = isTouched(from) && { value: from.value, checked: from.checked };
  morphAttributes(from, to);
  morphChildren(from, to);
  if (from.type === "file") return;
  const { value, checked } = typed || to;
  if (from.value !== value) from.value = value;
  if (from.checked !== checked) from.checked = checked;
}

function isTouched(control) {
  if (control.type === "checkbox" || control.type === "radio") return control.checked !== control.defaultChecked;
  if (control.tagName !== "SELECT") return "defaultValue" in control && control.value !== control.defaultValue;
  const initial = [...control.options].find((option) => option.defaultSelected) ?? control.options[0];
  return Boolean(initial) && control.value !== initial.value;
}

const keyOf = (node) => node.id || node.dataset?.key;

function morphChildren(from, to) {
  const wanted = new Set([...to.children].map(keyOf).filter(Boolean));
  const known = new Map();
  for (const child of [...from.children]) {
    const key = keyOf(child);
    if (key && wanted.has(key)) known.set(key, child);
    else if (key) child.remove();
  }
  let at = from.firstChild;
  for (const next of [...to.childNodes]) {
    const match = keyOf(next) ? known.get(keyOf(next)) : firstLike(next, at);
    if (!match) from.insertBefore(next, at);
    else if (match !== at) move(from, match, at);
    else at = at.nextSibling;
    if (match) morph(match, next);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function firstLike(wanted, from) {
  let node = from;
  while (node && (node.nodeName !== wanted.nodeName || keyOf(node))) node = node.nextSibling;
  return node;
}

function move(parent, node, before) {
  if (parent.moveBefore) parent.moveBefore(node, before); // keeps focus and scroll position
  else parent.insertBefore(node, before);
}

// ------------------------------------------------------------------ minding who is at the page

// A click is aimed at what was there a moment ago. When a row moves up, or a dialog opens or closes, what
// comes under the pointer is hit by nobody's will: the second half of a double click, or one that was on its way.
const DOUBLE_CLICK = 400;
const SAME_PLACE = 24;
let pointer = null; // where it was last
let pressed = null; // what was clicked last
let shifted = null; // where and when something else came under the pointer

/** Changes the page. */
function minding(change) {
  const aimed = aim();
  const held = hold(document.activeElement);
  const result = change();
  passOn(held);
  const aimedNow = aim();
  if (aimedNow && (aimedNow.item !== aimed?.item || aimedNow.does !== aimed.does)) noteShift();
  return result;
}

/** What a click would do now. In rows that are not drawn yet a browser finds the row only. */
function aim() {
  const item = pointer && document.elementFromPoint(pointer.x, pointer.y)?.closest("a, button, input, select, label, summary, [data-key]");
  return item && { item, does: item.href ?? [item.form?.getAttribute("action"), item.value, item.dataset.key ?? item.textContent].join() };
}

const noteShift = () => (shifted = { ...pointer, at: performance.now() });

/** Who has the focus, and the rows that get it if it goes: the next one first. */
function hold(element) {
  const row = element.closest("[data-key]");
  const rows = row ? [...row.parentElement.children] : [];
  const at = rows.indexOf(row);
  return { element, isByKey: element.matches(":focus-visible"), heirs: [...rows.slice(at + 1), ...rows.slice(0, Math.max(at, 0)).reverse()] };
}

/** Of what had the focus and is gone, the focus goes on to the next row, or else to the heading. */
function passOn({ element, isByKey, heirs }) {
  const now = document.activeElement;
  if (element === document.body || element.checkVisibility() || (now !== document.body && now !== element)) return;
  const heir = heirs.find((row) => row.isConnected);
  const first = heir && ["a[href]", "input[type=checkbox]", "button, input, select"].map((kind) => $(kind, heir)).find(Boolean);
  (first ?? $("#content h1"))?.focus({ preventScroll: !isByKey });
}

for (const name of ["pointermove", "pointerdown"]) document.addEventListener(name, ({ clientX: x, clientY: y }) => (pointer = { x, y }), true);

document.addEventListener("beforeinput", () => (pointer = null), true); // who types has seen what came of it before the next click

document.addEventListener("close", ({ target }) => target.matches("dialog") && target.contains(pressed) && noteShift(), true);

document.addEventListener("click", (event) => {
  if (!event.detail) return; // by a key: that is aimed at something
  const isNear = shifted && Math.hypot(event.clientX - shifted.x, event.clientY - shifted.y) < SAME_PLACE;
  if (isNear && performance.now() - shifted.at < DOUBLE_CLICK) return event.preventDefault(), event.stopImmediatePropagation();
  pressed = event.target;
}, true);

// ------------------------------------------------------------------ toasts

const TOASTS = { success: ["check-circle", "green"], warning: ["alert", "amber"], error: ["x-circle", "red"] };

function toast(kind, text, detail = "") {
  const [icon, tone] = TOASTS[kind] ?? TOASTS.success;
  const words = make("div", { class: "toast-text" }, text);
  if (detail) words.append(make("small", {}, detail));
  const role = kind === "error" ? "alert" : "status";
  if (kind === "error") for (const old of $$(".toast-error", toasts)) if ($(".toast-text", old).isEqualNode(words)) old.remove();
  const box = make("div", { class: `toast toast-${kind} tone-${tone}`, "data-kind": kind, role }, drawIcon(icon), words);
  raiseToasts().append(box);
  armToast(box);
}

const toasts = $("#toasts");

/** Above an open dialog everything else is inert, so that is where the toasts have to be. */
function raiseToasts() {
  const host = $$("dialog:modal").at(-1) ?? document.body;
  if (toasts.parentElement !== host) host.append(toasts);
  return toasts;
}

function armToast(box) {
  const close = make("button", { class: "button button-ghost button-icon button-small", type: "button", "aria-label": "Close" }, drawIcon("x"));
  close.addEventListener("click", () => box.remove());
  box.append(close);
  if (box.dataset.kind === "error") return;
  let timer;
  const start = () => (timer = setTimeout(() => box.remove(), box.dataset.kind === "warning" ? 12_000 : 6_000));
  for (const stop of ["pointerenter", "focusin"]) box.addEventListener(stop, () => clearTimeout(timer));
  for (const go of ["pointerleave", "focusout"]) box.addEventListener(go, start);
  start();
}

function toastsOf(page) {
  const quiet = $$("template[data-toast]", page).map((item) => [item.dataset.toast, item.content.textContent.trim(), item.dataset.detail]);
  const plain = $$("#toasts > .toast", page).map((item) => {
    const [text, detail] = [...$(".toast-text", item).childNodes].map((node) => node.textContent.trim());
    return [item.dataset.kind, text, detail];
  });
  return [...quiet, ...plain];
}

function complain(error) {
  if (!(error instanceof Problem)) console.error(error);
  const unforeseen = "Something in this page broke. Reload it and look whether your change is there.";
  toast("error", error instanceof Problem ? error.message : unforeseen, error.hint);
}

// ------------------------------------------------------------------ forms

let leaving = false;
let sentAt = -Infinity; // when the form that waits for its answer was sent
let heard = 0; // how often somebody told of a change

/** What a form would send now. */
function contentOf(form, submitter) {
  const url = submitter?.getAttribute("formaction") ?? form.getAttribute("action") ?? location.href;
  const data = new FormData(form, submitter);
  return { url, body: form.enctype === "multipart/form-data" ? data : new URLSearchParams(data) };
}

async function send(form, submitter, { url, body } = contentOf(form, submitter)) {
  if (busy.has(form)) return;
  const heardBefore = heard;
  sentAt = performance.now();
  setBusy(form, submitter, true);
  stopPreview(form); // its answer would say the same, or be old
  stopRefreshing(); // likewise, and what it asks for may be what this form deletes
  try {
    const { response, page } = await ask(url, { method: "POST", body });
    if (response.ok) finish(form, response, page);
    else refuse(form, response, page);
    if (heard !== heardBefore && !leaving) changed("*"); // the answer may be older than what was told meanwhile
  } catch (error) {
    complain(error);
    markFields(form, error.fields ?? {});
  } finally {
    sentAt = -Infinity;
    setBusy(form, submitter, false);
  }
}

function setBusy(form, submitter, isBusy) {
  for (const item of [form, submitter].filter(Boolean)) {
    item.ariaBusy = isBusy ? "true" : null;
    if (isBusy) busy.add(item);
    else busy.delete(item);
  }
}

function finish(form, response, page) {
  const url = new URL(response.url);
  if (response.redirected && url.pathname !== location.pathname) {
    leaving = true;
    remember(() => sessionStorage.setItem("toasts", JSON.stringify(toastsOf(page))));
    return location.assign(url);
  }
  const targets = form.dataset.target ?? "#content";
  if ("reset" in form.dataset || form.closest(targets.replaceAll(/\s+/g, ","))) form.reset();
  if (!("stay" in form.dataset)) form.closest("dialog")?.close();
  if (response.redirected) history.replaceState(null, "", url);
  const news = toastsOf(page);
  if (!show(page, targets) && !news.length) location.reload();
  for (const words of news) toast(...words);
}

function refuse(form, response, page) {
  const answer = form.isConnected && form.id && page.getElementById(form.id);
  if (!answer) throw problemOnPage(page, response.status);
  const { refused } = form.dataset;
  if (refused) {
    show(page, refused); // what it was about is not what stood there
    $(".error-summary")?.scrollIntoView({ block: "nearest" });
  } else {
    morph(form, answer);
    settle();
  }
  for (const words of toastsOf(page)) toast(...words);
  $("[aria-invalid=true]", form)?.focus();
}

function markFields(form, fields) {
  for (const [name, why] of Object.entries(fields)) {
    const control = form.elements.namedItem(name);
    if (!control?.id) continue;
    control.setAttribute("aria-invalid", "true");
    $(`#${CSS.escape(control.id)}-error`)?.replaceChildren(why);
  }
  $("[aria-invalid=true]", form)?.focus();
}

function forgetError(control) {
  if (control.getAttribute("aria-invalid") !== "true") return;
  control.removeAttribute("aria-invalid");
  $(`#${CSS.escape(control.id)}-error`)?.replaceChildren();
}

let asking = null; // the question that is open: { dialog, offer }

/** What a button offers that asks first. */
const offerOf = (button) => [button.getAttribute("formaction") ?? button.form?.getAttribute("action"), button.value, button.dataset.confirm].join();

/** Asks, and then sends what the form was when it asked: the page may change under the question. */
function confirmFirst(form, submitter) {
  const asked = contentOf(form, submitter);
  const held = hold(submitter);
  const { question, text = "", label = submitter.textContent.trim() } = questionOf(submitter.dataset, submitter.closest("[data-selection]"));
  const keep = make("button", { class: "button button-secondary", value: "", autofocus: "" }, "Back"); // "Cancel" is what some of them ask about
  const go = make("button", { class: "button button-danger", value: "yes" }, label);
  const dialog = make("dialog", { class: "dialog", role: "alertdialog", "aria-labelledby": "confirm-title" },
    make("form", { method: "dialog" },
      make("div", { class: "dialog-head" }, make("h2", { id: "confirm-title" }, question)),
      make("div", { class: "dialog-body" }, make("p", {}, text)),
      make("div", { class: "dialog-foot" }, keep, go)));
  dialog.addEventListener("close", () => {
    dialog.remove();
    asking = null;
    passOn(held); // news may have taken its button away
    if (dialog.returnValue === "yes") send(form, submitter, asked);
  });
  document.body.append(dialog);
  asking = { dialog, offer: offerOf(submitter) };
  minding(() => dialog.showModal());
}

/** What a button asks. About one thing that is selected, it may have other words than about many. */
function questionOf(says, bar) {
  if (says.confirmOne && bar?.hasAttribute("data-one")) return { question: says.confirmOne, text: says.confirmOneText, label: says.confirmOneLabel };
  return { question: says.confirm.replace("{selected}", bar?.dataset.counted ?? ""), text: says.confirmText, label: says.confirmLabel };
}

/** What the page does not offer any more is not asked any more: it was settled elsewhere meanwhile. */
function withdrawQuestion() {
  if (!asking?.dialog.open || $$("[data-confirm]").some((button) => offerOf(button) === asking.offer)) return;
  asking.dialog.close();
  toast("warning", "What you were asked about is not open here any more.", "Nothing was done. The page shows how it stands now.");
}

document.addEventListener("submit", (event) => {
  const { target: form, submitter } = event;
  if (submitter?.dataset.confirm) {
    event.preventDefault();
    confirmFirst(form, submitter);
  } else if (form.matches("[data-search]")) {
    event.preventDefault();
    search(form);
  } else if (form.matches("[data-enhance]")) {
    event.preventDefault();
    send(form, submitter);
  } else if (form.method !== "dialog") {
    leaving = true;
    stopRefreshing();
  }
});

/** The boxes of a picker say nothing: its chips do. */
const isUnsaved = (form) => [...form.elements].some((control) => !control.matches("[data-pick]") && isTouched(control)) || $$("[data-picker]", form).some(isChosenAnew);
const hasUnsaved = () => $$("form[data-guard]").some(isUnsaved);

addEventListener("beforeunload", (event) => {
  if (hasUnsaved() && !leaving) event.preventDefault();
});

// ------------------------------------------------------------------ live regions

const ANSWER_SOON = 5000;
const sources = new Map(); // address → what is going on with it
let stream = null;
let lost = false;
let lostTimer;

const newSource = () => ({ pages: 0, timer: 0, turn: null });
const addressOf = (region) => new URL(region.dataset.src ?? location.href, location.href).href;
const isAsleep = (region) => Boolean(region.closest("dialog:not([open])"));

function changed(topic, id) {
  heard += 1;
  for (const region of $$("[data-live]")) {
    const topics = region.dataset.live.split(",").map((name) => name.trim());
    if (topic === "*" || topics.some((name) => name === topic || (name.startsWith(`${topic}:`) && (!id || name.endsWith(`:${id}`))))) wake(region);
  }
}

/** Fetches the region's address soon: bursts become one request, and a burst without end one every now and then. */
function wake(region, delay = 150) {
  if (isAsleep(region)) return;
  const url = addressOf(region);
  const source = sources.get(url) ?? newSource();
  sources.set(url, source);
  source.timer ||= setTimeout(() => refresh(url, source), delay);
}

async function refresh(url, source) {
  source.timer = 0;
  const regions = () => $$("[data-live]").filter((region) => addressOf(region) === url && !isAsleep(region));
  if (leaving) return;
  const awaitsAnswer = performance.now() - sentAt < ANSWER_SOON; // it shows what it changed, or leads away from here
  if (source.turn || awaitsAnswer) return void (source.timer = setTimeout(() => refresh(url, source), 150));
  const turn = (source.turn = new AbortController());
  try {
    const seen = version;
    const page = await askAll(url, source.pages, turn.signal);
    if (seen !== version) return regions().forEach((region) => wake(region)); // a form was quicker: this answer is old
    minding(() => {
      for (const region of regions()) renew(region, page);
      settle();
    });
    showLost(lost);
  } catch (error) {
    if (turn.signal.aborted) return regions().forEach((region) => wake(region));
    if (error instanceof Gone && url === location.href && sentAt === -Infinity) return startOver();
    if (!(error instanceof Problem)) console.error(error);
    for (const region of regions()) {
      region.dataset.stale = "";
      wake(region, 5000);
    }
    showLost(true);
  } finally {
    source.turn = null;
  }
}

function stopRefreshing() {
  for (const { turn } of sources.values()) turn?.abort();
}

let saidGone = false;

/** What the page shows is not there any more, or has become another page: loaded anew, it says so.
    What somebody has typed is not taken away. */
function startOver() {
  if (hasUnsaved()) {
    if (saidGone) return;
    saidGone = true;
    const why = "Somebody has deleted, started or ended it meanwhile. Copy what you have typed, as far as you need it, and reload the page.";
    return toast("error", "This cannot be saved any more.", why);
  }
  leaving = true;
  location.reload();
}

function renew(region, page) {
  const fresh = page.getElementById(region.id);
  if (!fresh) throw new Gone(`The answer has no #${region.id}`);
  morph(region, fresh);
  delete region.dataset.stale;
}

/** A page, and as many further ones as "Load more" has brought. */
async function askAll(url, more, signal) {
  const { response, page } = await ask(url, { signal });
  if (GONE.has(response.status)) throw new Gone();
  if (!response.ok) throw problemOnPage(page, response.status);
  for (let left = more; left > 0; left -= 1) {
    const link = $("a[data-load-more]", page);
    if (link) extend(page, link, (await ask(link.getAttribute("href"), { signal })).page);
  }
  return page;
}

function listen() {
  stream = new EventSource(document.body.dataset.events ?? "/api/v1/events");
  stream.addEventListener("open", () => {
    changed("*"); // what happened while the page was on its way here, or the stream away
    lost = false;
    showLost(false);
  });
  stream.addEventListener("message", ({ data }) => {
    const { topic, id } = JSON.parse(data);
    changed(topic, id);
  });
  stream.addEventListener("resync", () => changed("*"));
  stream.addEventListener("error", () => {
    lost = true;
    showLost(true);
    if (stream?.readyState !== EventSource.CLOSED) return; // it tries again by itself
    setTimeout(relisten, 5000);
    changed("*"); // finds out when it is the login that is over
  });
}

function relisten() {
  stream?.close();
  lost = true;
  listen();
}

function hangUp() {
  stream?.close();
  stream = null;
}

/** A short break is not worth a word. */
function showLost(isLost) {
  clearTimeout(lostTimer);
  const say = () => ($("#live-status").hidden = !isLost);
  lostTimer = setTimeout(say, isLost ? 1500 : 0);
}

// A browser keeps few connections to one server: a tab that nobody sees gives its own back.
let hiddenTimer;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiddenTimer);
  if (document.hidden) hiddenTimer = setTimeout(hangUp, 30_000);
  else if (!stream && $("[data-live]")) relisten();
});
addEventListener("pagehide", hangUp);
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  leaving = false;
  if ($("[data-live]")) relisten();
});

// ------------------------------------------------------------------ search, load more

const searches = new WeakMap();
const timers = new WeakMap();

function searchSoon(form) {
  clearTimeout(timers.get(form));
  timers.set(form, setTimeout(() => search(form), 180));
}

async function search(form) {
  clearTimeout(timers.get(form));
  searches.get(form)?.abort();
  const turn = new AbortController();
  searches.set(form, turn);
  const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
  const url = new URL(form.action);
  url.search = query;
  form.ariaBusy = "true";
  try {
    const { response, page } = await ask(url, { signal: turn.signal });
    if (!response.ok) throw problemOnPage(page, response.status);
    if (!form.closest("dialog")) history.replaceState(null, "", url);
    sources.delete(url.href);
    show(page, form.dataset.search || "#content");
  } catch (error) {
    if (!turn.signal.aborted) complain(error);
  } finally {
    if (searches.get(form) === turn) form.ariaBusy = null;
  }
}

async function loadMore(link) {
  if (link.ariaBusy === "true") return;
  link.ariaBusy = "true";
  try {
    const { response, page } = await ask(link.href);
    if (!response.ok) throw problemOnPage(page, response.status);
    const region = link.closest("[data-live]");
    const source = region && (sources.get(addressOf(region)) ?? newSource());
    const first = minding(() => extend(document, link, page));
    version += 1;
    if (source) sources.set(addressOf(region), Object.assign(source, { pages: source.pages + 1 }));
    settle();
    first?.querySelector("a, button, input")?.focus({ preventScroll: true });
  } catch (error) {
    link.ariaBusy = null;
    complain(error);
  }
}

/** Appends the rows of the next page and puts its pager in place of the old one. Returns the first new row. */
function extend(root, link, page) {
  const list = $(link.dataset.loadMore, root);
  const present = new Set([...list.children].map(keyOf).filter(Boolean));
  const rows = [...($(link.dataset.loadMore, page)?.children ?? [])].filter((row) => !present.has(keyOf(row)));
  list.append(...rows);
  const pager = link.closest(".pager");
  pager.replaceWith(page.getElementById(pager.id) ?? "");
  return rows[0];
}

// ------------------------------------------------------------------ dialogs and popovers

function openDialog(dialog) {
  if (!dialog.open) minding(() => dialog.showModal());
  for (const region of $$("[data-live]", dialog)) wake(region, 0);
}

const shownOnce = new WeakSet();

function openWanted() {
  for (const dialog of $$("dialog[data-open]")) if (!shownOnce.has(dialog)) shownOnce.add(dialog), openDialog(dialog);
}

document.addEventListener("close", (event) => event.target.matches("dialog") && raiseToasts(), true);

// Where the browser cannot anchor a popover to its button itself.
document.addEventListener("toggle", ({ target, newState }) => {
  if (newState !== "open" || !target.matches?.("[data-anchored]") || CSS.supports("position-area", "block-end")) return;
  const box = $(`[popovertarget="${CSS.escape(target.id)}"]:not([hidden])`).getBoundingClientRect();
  const below = box.bottom + target.offsetHeight < innerHeight;
  target.style.left = `${Math.max(8, Math.min(box.left, innerWidth - target.offsetWidth - 8))}px`;
  target.style.top = `${below ? box.bottom : Math.max(8, box.top - target.offsetHeight - 8)}px`;
}, true);

// ------------------------------------------------------------------ clicks and input

// What returns false leaves the click to the browser.
const clicks = {
  "[data-dialog-open]": (item) => {
    const dialog = document.getElementById(item.dataset.dialogOpen);
    return dialog ? openDialog(dialog) : false;
  },
  "[data-dialog-close]": (item) => item.closest("dialog").close(),
  "[data-load-more]": loadMore,
  "[data-copy], [data-copy-from]": copy,
  "[data-theme-choice]": (item) => chooseTheme(item.dataset.themeChoice),
  "[data-select-filter]": (item) => selectAll(item.closest("[data-selection]"), true),
  "[data-select-none]": (item) => selectAll(item.closest("[data-selection]"), false),
  "[data-picker-all]": pickAll,
  "[data-picker-drop]": dropChip,
  "[data-insert]": insertText,
};

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey) return;
  for (const [selector, act] of Object.entries(clicks)) {
    const item = event.target.closest(selector);
    if (item && act(item) !== false) event.preventDefault();
  }
  event.target.closest(".menu-item")?.closest("[popover]")?.hidePopover();
});

document.addEventListener("input", ({ target }) => {
  forgetError(target);
  if (target.dataset.limit) count(target);
  if (target.matches("[data-picker-search]")) searchPickerSoon(target.closest("[data-picker]"));
  else if (target.form?.matches("[data-search]")) searchSoon(target.form);
  if (target.dataset.filter) filterRows(target);
  if (target.form?.matches("[data-preview]")) previewSoon(target.form);
});

document.addEventListener("change", ({ target }) => {
  if (target.matches("[data-submit-on-change]")) target.form.requestSubmit();
  if (target.matches("[data-select-all]")) for (const box of boxes(target.dataset.selectAll)) if (canChoose(box)) box.checked = target.checked;
  if (target.matches("[data-pick]")) pick(target);
  if (target.type === "checkbox") showSelections(target);
});

document.addEventListener("reset", ({ target }) => {
  for (const bar of $$("[data-selection]", target)) selections.delete(bar.dataset.selection);
  setTimeout(showSelections);
});

document.addEventListener("keydown", (event) => {
  const picker = event.target.matches("[data-picker-search]") && event.target.closest("[data-picker]");
  if (picker && event.key === "Enter") return event.preventDefault(), void searchPicker(picker); // the form is not done yet
  const grip = event.target.closest("[data-grip]");
  if (grip) return reorderByKey(event, grip);
  if (event.key !== "/" || event.target.closest("input, textarea, select, [contenteditable]")) return;
  const field = $("[data-search] input[type=search]");
  if (field) event.preventDefault(), field.focus();
});

function count(area) {
  const length = [...area.value].length;
  const counter = document.getElementById(area.dataset.counter);
  counter.textContent = `${length} of ${area.dataset.limit}`;
  counter.toggleAttribute("data-over", length > Number(area.dataset.limit));
}

async function copy(button) {
  const text = button.dataset.copy ?? $(button.dataset.copyFrom).textContent.trim();
  try {
    await navigator.clipboard.writeText(text);
    toast("success", "Copied.");
  } catch {
    copyByHand(button, text);
  }
}

/** Without https a browser has no clipboard for scripts; selecting and copying still works in most. */
function copyByHand(button, text) {
  const area = make("textarea", { class: "visually-hidden" });
  area.value = text;
  button.after(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  button.focus();
  toast(copied ? "success" : "warning", copied ? "Copied." : "The browser did not allow copying. Select the text and copy it by hand.");
}

// ------------------------------------------------------------------ selections over a filter

const boxes = (name) => $$(`input[type=checkbox][name="${CSS.escape(name)}"]`);

// What is chosen is remembered by id: newer rows push older ones off the page, and those stay chosen.
const selections = new Map(); // name → { scope, whole, chosen, shown }

/** A choice is about one list: that of another filter is another one. */
function selectionOf(bar) {
  const scope = addressOf(bar.closest("[data-live]") ?? bar);
  const known = selections.get(bar.dataset.selection);
  if (known?.scope === scope) return known;
  const fresh = { scope, whole: false, chosen: new Set(), shown: [] };
  selections.set(bar.dataset.selection, fresh);
  return fresh;
}

const canChoose = (box) => !box.disabled && !box.closest("[hidden]");

/** Shows the rows that have all of the words, and keeps what is checked in the others. */
function filterRows(input) {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of $(input.dataset.filter).children) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
  showSelections();
}

function selectAll(bar, on) {
  for (const box of boxes(bar.dataset.selection)) box.checked = on && !box.disabled;
  const selection = selectionOf(bar);
  selection.whole = on;
  if (!on) selection.chosen.clear();
  showSelections();
}

/** Brings the choice and the rows in line. A row is gone from the list, and so no longer chosen, when one
    that stood below it is still shown, when others have come in its place at the end, or when all are shown. */
function follow(selection, all, isComplete) {
  const { whole, chosen, shown } = selection;
  const present = new Set(all.map((box) => box.value));
  const known = new Set(shown);
  const last = shown.findLastIndex((id) => present.has(id));
  const end = last >= 0 && !known.has(all.at(-1)?.value) ? shown.length : last;
  for (const id of shown.slice(0, Math.max(end, 0))) if (!present.has(id)) chosen.delete(id);
  if (isComplete) for (const id of chosen) if (!present.has(id)) chosen.delete(id);
  for (const box of all) {
    if (!known.has(box.value)) box.checked ||= !box.disabled && (whole || chosen.has(box.value));
    if (box.checked) chosen.add(box.value);
    else chosen.delete(box.value);
  }
  selection.shown = [...present];
}

/** Nouns come in the plural. */
const counted = (number, noun) => `${number.toLocaleString("en")} ${number === 1 ? noun.replace(/s$/, "") : noun}`;

function showSelections(touched) {
  const bars = $$("[data-selection]");
  for (const name of selections.keys()) if (!bars.some((bar) => bar.dataset.selection === name)) selections.delete(name);
  for (const bar of bars) {
    const { selection: name, total, noun, most = total } = bar.dataset;
    const all = boxes(name);
    const selection = selectionOf(bar);
    if (touched?.checked === false && [touched.name, touched.dataset.selectAll].includes(name)) selection.whole = false;
    follow(selection, all, all.length >= Number(total));
    const { whole, chosen } = selection;
    const number = whole ? Number(total) : Math.min(chosen.size, Number(total));
    const ticked = all.filter((box) => box.checked).length;
    bar.hidden = !number;
    bar.toggleAttribute("data-one", number === 1);
    const words = counted(number, noun);
    bar.dataset.counted = number > Number(most) ? `the first ${Number(most).toLocaleString("en")} of ${words}` : words;
    $("[data-selected]", bar).textContent = `${words} selected`;
    $("[data-select-filter]", bar).hidden = whole || Number(total) <= number;
    for (const part of ["all", "total"]) $(`[name="${CSS.escape(name)}_${part}"]`, bar).disabled = !whole;
    for (const head of $$(`[data-select-all="${CSS.escape(name)}"]`)) {
      head.checked = ticked > 0 && ticked === all.length;
      head.indeterminate = ticked > 0 && ticked < all.length;
    }
  }
}

document.addEventListener("formdata", ({ target, formData }) => {
  for (const bar of $$("[data-selection]", target)) {
    const { whole, chosen } = selectionOf(bar);
    formData.delete(bar.dataset.selection);
    if (!whole) for (const id of chosen) formData.append(bar.dataset.selection, id);
  }
});

// ------------------------------------------------------------------ choosing groups

// What was chosen stays chosen, whatever the list shows after the next search: a choice is a chip with a hidden field.

async function searchPicker(picker) {
  clearTimeout(timers.get(picker));
  searches.get(picker)?.abort();
  const turn = new AbortController();
  searches.set(picker, turn);
  const url = new URL(picker.dataset.src, location.href);
  url.searchParams.set("q", $("[data-picker-search]", picker).value);
  const list = $("#picker-list", picker);
  list.ariaBusy = "true";
  try {
    const { response, page } = await ask(url, { signal: turn.signal });
    if (!response.ok) throw problemOnPage(page, response.status);
    show(page, "#picker-list");
  } catch (error) {
    if (!turn.signal.aborted) complain(error);
  } finally {
    if (searches.get(picker) === turn) list.ariaBusy = null;
  }
}

function searchPickerSoon(picker) {
  clearTimeout(timers.get(picker));
  timers.set(picker, setTimeout(() => searchPicker(picker), 180));
}

function addChip(picker, attribute, key, words, field) {
  const chip = make("span", { class: "tag", [attribute]: key }, make("bdi", {}, words), make("input", { type: "hidden", name: field, value: key }));
  $("[data-picker-chosen]", picker).append(chip);
}

const chipOf = (picker, attribute, key) => $(`[${attribute}="${CSS.escape(key)}"]`, picker);

function pick(box) {
  const picker = box.closest("[data-picker]");
  const chip = chipOf(picker, "data-chip", box.value);
  if (box.checked && !chip) addChip(picker, "data-chip", box.value, box.dataset.pick, picker.dataset.picker);
  if (!box.checked) chip?.remove();
  showPickers();
}

function pickAll(button) {
  const picker = button.closest("[data-picker]");
  const { query, total } = $("#picker-list", picker).dataset;
  if (chipOf(picker, "data-chip-matching", query)) return;
  const words = `All ${total ? `${Number(total).toLocaleString("en")} ` : ""}groups${query ? ` with “${query}”` : ""}`;
  addChip(picker, "data-chip-matching", query, words, `${picker.dataset.picker}_matching`);
  showPickers();
}

const choiceOf = (picker) => $$("[data-picker-chosen] input", picker).map(({ name, value }) => `${name}=${value}`).sort().join();
const chosenAtFirst = new WeakMap();
const isChosenAnew = (picker) => choiceOf(picker) !== chosenAtFirst.get(picker);

/** Brings boxes, chips and the sentence below them in line with what is chosen. */
function showPickers() {
  for (const picker of $$("[data-picker]")) {
    const list = $("#picker-list", picker);
    for (const box of $$("[data-pick][checked]", list)) {
      box.removeAttribute("checked"); // from here on the chip says it
      if (!chipOf(picker, "data-chip", box.value)) addChip(picker, "data-chip", box.value, box.dataset.pick, picker.dataset.picker);
    }
    if (!chosenAtFirst.has(picker)) chosenAtFirst.set(picker, choiceOf(picker));
    const whole = Boolean(chipOf(picker, "data-chip-matching", list.dataset.query ?? ""));
    for (const box of $$("[data-pick]:not([aria-describedby])", list)) {
      box.checked = whole || Boolean(chipOf(picker, "data-chip", box.value));
      box.disabled = whole;
    }
    for (const chip of $$(".tag:not(:has(button))", picker)) {
      const close = make("button", { type: "button", class: "tag-close", "data-picker-drop": "", "aria-label": `Remove ${chip.textContent}` }, drawIcon("x"));
      chip.append(close);
    }
    const single = $$("[data-chip]", picker).length;
    const some = `${single.toLocaleString("en")} ${single === 1 ? "group" : "groups"} chosen`;
    const all = $$("[data-chip-matching]", picker).map((chip) => $("bdi", chip).textContent.replace(/^All/, "all"));
    $("[data-picker-count]", picker).textContent = [single || !all.length ? some : "", ...all].filter(Boolean).join(", and ");
  }
}

function dropChip(button) {
  button.closest(".tag").remove();
  showPickers();
}

// ------------------------------------------------------------------ writing with a preview

function previewSoon(form) {
  clearTimeout(timers.get(form));
  timers.set(form, setTimeout(() => preview(form), 250));
}

function stopPreview(form) {
  clearTimeout(timers.get(form));
  searches.get(form)?.abort();
}

/** Sends the form as it is with action=preview, and shows what the answer has of the preview. */
async function preview(form) {
  searches.get(form)?.abort();
  const turn = new AbortController();
  searches.set(form, turn);
  const body = new URLSearchParams(new FormData(form));
  body.set("action", "preview");
  try {
    const { response, page } = await ask(form.getAttribute("action"), { method: "POST", body, signal: turn.signal });
    if (!response.ok) throw problemOnPage(page, response.status);
    show(page, form.dataset.preview);
  } catch (error) {
    if (!turn.signal.aborted) complain(error);
  }
}

/** At the cursor, so that what was typed can be undone like typing. */
function insertText(button) {
  const area = $(button.dataset.into);
  const [start, end] = [area.selectionStart, area.selectionEnd];
  area.focus();
  area.setRangeText(button.dataset.insert, start, end, "end");
  area.dispatchEvent(new Event("input", { bubbles: true }));
}

// ------------------------------------------------------------------ lists in an order

// <ol data-order> in a form: each <li> has the hidden field of its place and a button [data-grip]. Dragging the grip, or
// Space, arrows and Space again on it, sends the form with the new order. The buttons beside it do the same without this.

let grabbed = null; // { row, list, order, by }

const rowsOf = (list) => [...list.children];

function grab(grip, by) {
  const row = grip.closest("li");
  const list = row.parentElement;
  grabbed = { row, list, grip, by, order: rowsOf(list) };
  row.dataset.grabbed = by;
  grip.ariaPressed = "true";
}

function place(row, list, before) {
  if (row === before || row.nextElementSibling === before) return;
  move(list, row, before);
  for (const [number, each] of rowsOf(list).entries()) $("[data-place]", each).textContent = number + 1;
}

function release(keep) {
  const { row, list, grip, order } = grabbed;
  grabbed = null;
  delete row.dataset.grabbed;
  grip.ariaPressed = "false";
  const changed = rowsOf(list).some((each, number) => each !== order[number]);
  if (!keep) for (const each of order) place(each, list, null);
  else if (changed) list.closest("form").requestSubmit();
  grip.focus();
  tellPlace(keep ? "Put at" : "Back at", row, list);
}

function tellPlace(verb, row, list) {
  $("[data-order-status]", list.parentElement).textContent = `${verb} place ${rowsOf(list).indexOf(row) + 1} of ${list.children.length}.`;
}

function reorderByKey(event, grip) {
  const isOpen = grabbed?.by === "keyboard" && grabbed.grip === grip;
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (event.key === " " || event.key === "Enter") {
    event.preventDefault();
    if (isOpen) return release(true);
    grab(grip, "keyboard");
    return tellPlace("Taken from", grabbed.row, grabbed.list);
  }
  if (!isOpen) return;
  if (event.key === "Escape") return event.preventDefault(), release(false);
  if (!step) return;
  event.preventDefault();
  const { row, list } = grabbed;
  const rows = rowsOf(list);
  const to = Math.max(0, Math.min(rows.length - 1, rows.indexOf(row) + step));
  place(row, list, rows[to + (step > 0 ? 1 : 0)] ?? null);
  grip.focus();
  tellPlace("Now at", row, list);
}

document.addEventListener("pointerdown", (event) => {
  const grip = event.target.closest("[data-grip]");
  if (!grip || event.button !== 0 || grabbed) return;
  event.preventDefault(); // no selecting of text on the way
  grip.focus();
  grip.setPointerCapture(event.pointerId);
  grab(grip, "pointer");
});

document.addEventListener("pointermove", ({ clientY }) => {
  if (grabbed?.by !== "pointer") return;
  const { row, list } = grabbed;
  const others = rowsOf(list).filter((each) => each !== row);
  const before = others.find((each) => {
    const box = each.getBoundingClientRect();
    return clientY < box.top + box.height / 2;
  });
  place(row, list, before ?? null);
});

document.addEventListener("pointerup", () => grabbed?.by === "pointer" && release(true));
document.addEventListener("pointercancel", () => grabbed?.by === "pointer" && release(false));
document.addEventListener("focusout", ({ target }) => {
  // Moving a row in the page can take the focus away for a moment.
  if (grabbed?.by === "keyboard" && target === grabbed.grip) setTimeout(() => grabbed && document.activeElement !== grabbed.grip && release(false));
});

// ------------------------------------------------------------------ time

const skew = document.body.dataset.now ? Date.parse(document.body.dataset.now) - Date.now() : 0;

function ageText(seconds) {
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} days ago`;
}

const due = new WeakMap(); // when an age is to be looked at again: lists have thousands

function tick() {
  const now = Date.now() + skew;
  for (const time of $$("time[data-age]")) {
    if (due.get(time) > now) continue;
    const seconds = Math.max(0, Math.floor((now - Date.parse(time.dateTime)) / 1000));
    if (time.textContent !== ageText(seconds)) time.textContent = ageText(seconds);
    due.set(time, now + (seconds < 60 ? 0 : 15_000));
  }
  for (const ring of $$("[data-countdown]")) countDown(ring, Math.max(0, Math.ceil((Date.parse(ring.dataset.countdown) - now) / 1000)));
  for (const region of $$("[data-live][data-until]")) renewInTime(region, now);
}

const renewed = new WeakMap(); // for which end a region was fetched, and when: a clock may be ahead of the server's

/** What a region shows is over, and nothing was announced within the second that most of what happens by then takes. */
function renewInTime(region, now) {
  const { until } = region.dataset;
  const [end, at] = renewed.get(region) ?? [];
  if (now < Date.parse(until) + 1000 || (end === until && now < at + 5000)) return;
  renewed.set(region, [until, now]);
  wake(region);
}

function countDown(ring, left) {
  $("[data-left]", ring).textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
  const part = Math.min(100, (100 * left) / Number(ring.dataset.life));
  $("circle + circle", ring)?.setAttribute("stroke-dasharray", `${part.toFixed(1)} 100`);
  const region = ring.closest("[data-live]");
  ring.closest(".qr")?.querySelector(".qr-frame").toggleAttribute("data-expired", left === 0);
  if (left === 0 && region) wake(region, 1000);
}

// ------------------------------------------------------------------ theme

function chooseTheme(theme) {
  remember(() => localStorage.setItem("theme", theme));
  showTheme(theme);
}

function showTheme(theme = document.documentElement.dataset.theme ?? "auto") {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  for (const button of $$("[data-theme-choice]")) button.ariaPressed = String(button.dataset.themeChoice === theme);
}

addEventListener("storage", ({ key }) => key === "theme" && showTheme(remember(() => localStorage.getItem("theme"), "auto")));

// ------------------------------------------------------------------ start

/** Brings what the script owns back in line after the page has changed. */
function settle() {
  tick();
  raiseToasts();
  showTheme();
  showSelections();
  showPickers();
  openWanted();
  withdrawQuestion();
  for (const note of $$(".pager[data-rows] [data-shown]")) {
    const { rows, total, noun } = note.closest(".pager").dataset;
    const shown = $(rows)?.childElementCount ?? 0;
    note.textContent = total ? `${shown.toLocaleString("en")} of ${counted(Number(total), noun)}` : counted(shown, noun);
  }
  if (!stream && !document.hidden && $("[data-live]")) listen();
}

/** On a phone there is room for some of the tabs: the one that is open is among them. */
for (const tab of $$(".tab[aria-current]")) {
  const bar = tab.parentElement;
  bar.scrollLeft += tab.getBoundingClientRect().left - bar.getBoundingClientRect().left - (bar.clientWidth - tab.offsetWidth) / 2;
}
for (const box of $$("#toasts > .toast")) armToast(box);
for (const words of JSON.parse(remember(() => sessionStorage.getItem("toasts"), "[]"))) toast(...words);
remember(() => sessionStorage.removeItem("toasts"));
for (const region of $$("[data-live][data-load]")) wake(region, 0);
settle();
setInterval(() => document.hidden || tick(), 1000);
