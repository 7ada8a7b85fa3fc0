// One study, object by object: received where, when, from whom, why it goes where it goes, and how far it is.

import { call } from "./api.js";
import { badge, byId, el, fill, notice, table } from "./dom.js";
import { age, bytes, dicomDate, moment, personName, PROGRESS } from "./format.js";
import { progress } from "./search.js";

let shown = null, asked = 0, returnTo = null, onClose = () => {};

export function showTrace(closed) {
  onClose = closed;
  byId("veil").addEventListener("click", closeTrace);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && shown !== null) closeTrace(); });
  byId("trace").addEventListener("keydown", keepFocus);
}

export async function openTrace(uid) {
  if (shown === null) returnTo = document.activeElement;
  shown = uid;
  byId("veil").hidden = false;
  byId("trace").hidden = false;
  fill(byId("trace"), closeButton(), el("h2", { id: "trace-title" }, "Study"), notice("", "Loading …"));
  byId("trace").focus();
  await refreshTrace();
}

export function closeTrace() {
  shown = null;
  byId("veil").hidden = true;
  byId("trace").hidden = true;
  if (returnTo && returnTo.isConnected) returnTo.focus();
  onClose();
}

/** A study changed: when it is the open one it is read again, at most every second. */
let waiting = null;
export function traceChanged(uid) {
  if (uid !== shown || waiting !== null) return;
  waiting = setTimeout(() => { waiting = null; refreshTrace(); }, 1000);
}

/** Read the open study again. */
export async function refreshTrace() {
  if (shown === null) return;
  const turn = ++asked;
  try {
    const trace = await call(`/studies/${encodeURIComponent(shown || "-")}/trace`);
    if (turn === asked && shown !== null) draw(trace);
  } catch (error) {
    if (turn === asked && shown !== null) fill(byId("trace"), closeButton(), el("h2", { id: "trace-title" }, "Study"), notice("error", error.message, error.hint));
  }
}

const closeButton = () => el("button", { type: "button", class: "close", onclick: closeTrace }, "Close (Esc)");

function draw(trace) {
  const { study } = trace;
  const drawer = byId("trace"), place = drawer.scrollTop;
  const open = new Set([...drawer.querySelectorAll("details[open]")].map((one) => one.dataset.key));
  fill(drawer, closeButton(),
    el("h2", { id: "trace-title" }, personName(study.patient_name) || study.patient_id || "Study"),
    el("p", {}, progress(study)),
    facts([["Study", [dicomDate(study.study_date), study.study_description].filter(Boolean).join(" ")],
      ["Accession", study.accession_number], ["Modality", study.modalities.join(", ")], ["UID", study.study_instance_uid || "(names no study)"],
      ...study.sites.map((site) => [`At ${site.site}`, `${site.received} received, patient id ${site.patient_id || "not shared"}${heardOf(trace, site.site)}`])]),
    table([["Site"], ["Destination"], ["Delivered", "number"], ["Waiting", "number"], ["Parked", "number"]],
      study.destinations.map((to) => el("tr", {}, el("td", {}, to.site), el("td", {}, to.destination), ...["delivered", "waiting", "parked"].map((name) => el("td", { class: "number" }, to[name])))), "Destinations"),
    el("h3", {}, "Objects, the oldest first"),
    trace.instances.map((one, index) => reception(one, open.has(one.instance_id + one.node_id) || (index === 0 && open.size === 0))),
    trace.next_cursor ? notice("", `The first ${trace.instances.length} receptions are shown.`, "The API gives the others page by page.") : null);
  drawer.scrollTop = place;
}

function heardOf(trace, name) {
  const site = trace.sites_heard.find((one) => one.site === name);
  return site ? `, last heard of ${age(site.age_seconds)}` : "";
}

function reception(one, isOpen) {
  const [kind, icon, text] = PROGRESS[one.progress] || PROGRESS.waiting;
  const again = one.arrivals > 1 ? `, arrival ${one.arrival} of ${one.arrivals}` : "";
  return el("details", { class: "card", open: isOpen, "data-key": one.instance_id + one.node_id },
    el("summary", {}, badge(kind, icon, text), el("span", { class: "uid" }, one.sop_instance_uid || "(names no SOP instance)"),
      el("span", { class: "muted" }, ` at ${one.site}/${one.node_name}${again}`)),
    timeline(one),
    one.flags.length ? notice("warn", `Odd: ${one.flags.join(", ")}`) : null,
    facts([["SOP class", one.sop_class_uid], ["Transfer syntax", one.transfer_syntax_uid], ["Size", bytes(one.data_set_bytes)], ["Series", one.series_instance_uid], ["Kept as", one.instance_id]]));
}

function timeline(one) {
  const steps = [];
  const step = (at, ...what) => steps.push([at || "", el("li", {}, el("time", { datetime: at || "", title: at || "" }, at ? moment(at) : "unknown"), what)]);
  if (one.reported) {
    step(one.received_at, `accepted by ${one.site}/${one.node_name} from ${one.calling_ae_title} (${one.peer_address}), called ${one.called_ae_title}`);
    step(one.received_at, `policy ${one.policy}`, el("ul", {}, one.reasons.map((why) =>
      el("li", {}, why.matched ? "✓ " : "– ", el("b", {}, why.route), why.matched ? " took it: " : " did not: ", why.reason))));
  } else {
    step(null, "its reception was not told to the centre yet");
  }
  for (const to of one.deliveries) {
    const [kind, icon] = PROGRESS[to.progress] || PROGRESS.waiting;
    const status = to.dimse_status ? `, DIMSE status 0x${to.dimse_status.toString(16).toUpperCase().padStart(4, "0")}` : "";
    const tries = to.attempts ? ` after ${to.attempts} ${to.attempts === 1 ? "attempt" : "attempts"}` : "";
    const before = to.delivered_at && to.state !== "delivered" ? ` (first delivered ${moment(to.delivered_at)})` : "";
    step(to.changed_at, badge(kind, icon, to.state.replace("_", " ")), ` ${to.destination}${tries}${status}${before}`, to.reason ? el("span", { class: "hint" }, to.reason) : null);
  }
  steps.sort((a, b) => a[0].localeCompare(b[0]));
  return el("ol", { class: "timeline" }, steps.map(([, item]) => item));
}

function facts(pairs) {
  return el("dl", { class: "facts" }, pairs.filter(([, value]) => value).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

/** A dialog keeps the keyboard until it is closed. */
function keepFocus(event) {
  if (event.key !== "Tab") return;
  const stops = [...byId("trace").querySelectorAll("button, summary, a[href]")];
  const first = stops[0], last = stops[stops.length - 1];
  if (event.shiftKey && (document.activeElement === first || document.activeElement === byId("trace"))) { event.preventDefault(); last.focus(); }
  else if (!event.shiftKey && document.activeElement === last) { event.preventDefault(); first.focus(); }
}
