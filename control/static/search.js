// Study search. What is asked stands in the address, so that it can be sent to a colleague.

import { call, query } from "./api.js";
import { badge, byId, el, fill, notice, table } from "./dom.js";
import { age, dicomDate, moment, personName, plural, PROGRESS } from "./format.js";

const FIELDS = ["q", "patient_id", "accession_number", "modality", "study_date_from", "study_date_to", "site", "state"];
const TYPING = 250, PAGE = 50;

let items = [], cursor = null, asking = null, typing = null, openStudy = () => {}, fetchedAt = 0, heard = [];

export function showSearch(onOpen) {
  openStudy = onOpen;
  const form = byId("filters");
  form.addEventListener("submit", (event) => { event.preventDefault(); searchNow(); });
  form.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(searchNow, TYPING); });
  form.addEventListener("reset", () => setTimeout(searchNow));
  byId("more").addEventListener("click", () => fetchPage(cursor));
  byId("fresh").addEventListener("click", () => fetchPage(null));
  setInterval(drawHeard, 5000);
}

/** Offer the sites that there are. */
export function offerSites(names) {
  const select = byId("filters").elements.site;
  const chosen = select.value || new URLSearchParams(location.search).get("site") || "";
  if ([...select.options].slice(1).map((one) => one.value).join("\n") === names.join("\n")) return;
  fill(select, el("option", { value: "" }, "all"), names.map((name) => el("option", { value: name }, name)));
  select.value = names.includes(chosen) ? chosen : "";
}

/** Take the filters from the address. */
export function readAddress() {
  const wanted = new URLSearchParams(location.search);
  const fields = byId("filters").elements;
  for (const name of FIELDS) {
    const value = wanted.get(name) || "";
    if (name === "site" && value && ![...fields.site.options].some((one) => one.value === value)) {
      fields.site.append(el("option", { value }, value));
    }
    fields[name].value = value;
  }
  return fetchPage(null);
}

/** Ask the same again, and leave alone what somebody types meanwhile. */
export const searchAgain = () => fetchPage(null);

function filters() {
  const fields = byId("filters").elements;
  return Object.fromEntries(FIELDS.map((name) => [name, fields[name].value.trim()]));
}

function searchNow() {
  const wanted = { ...filters(), study: new URLSearchParams(location.search).get("study") };
  history.replaceState(null, "", location.pathname + query(wanted));
  return fetchPage(null);
}

async function fetchPage(from) {
  if (asking) asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  byId("as-json").href = `/api/v1/studies${query(filters())}`;
  byId("fresh").hidden = true;
  if (!items.length) fill(byId("results"), notice("", "Searching …"));
  try {
    const page = await call(`/studies${query({ ...filters(), limit: PAGE, cursor: from })}`, { signal });
    items = from ? [...items, ...page.items] : page.items;
    cursor = page.next_cursor;
    heard = page.sites_heard;
    fetchedAt = performance.now();
    draw();
  } catch (error) {
    if (error.name === "AbortError") return;
    fill(byId("results"), notice("error", error.message, error.hint));
    items = [];
    byId("more").hidden = true;
  }
}

/** A study changed: its row is patched in place. One that is not shown is only offered while the list is in use. */
let changed = new Set(), patching = null;
export function studyChanged(uid) {
  changed.add(uid);
  if (patching === null) patching = setTimeout(patch, 1000);
}

async function patch() {
  const uids = [...changed];
  changed = new Set();
  patching = null;
  const shown = new Set(items.map((item) => item.study_instance_uid));
  if (uids.some((uid) => !shown.has(uid))) {
    const results = byId("results");
    const inUse = results.matches(":hover") || results.contains(document.activeElement) || items.length > PAGE;
    if (inUse) byId("fresh").hidden = false;
    else { await fetchPage(null); return; }
  }
  for (const uid of uids.filter((one) => shown.has(one) && one).slice(0, PAGE)) {
    try {
      const page = await call(`/studies${query({ study_instance_uid: uid, limit: 1 })}`);
      items = items.map((item) => (item.study_instance_uid === uid && page.items[0] ? page.items[0] : item));
    } catch { return; } // the next change or search shows it
    const row = [...byId("results").querySelectorAll("tr[data-uid]")].find((one) => one.dataset.uid === uid);
    const item = items.find((one) => one.study_instance_uid === uid);
    if (row && item) row.replaceWith(studyRow(item));
  }
}

function draw() {
  drawHeard();
  byId("more").hidden = cursor === null;
  fill(byId("search-summary"), `${plural(items.length, "study", "studies")}${cursor ? ", and more" : ""}`);
  if (!items.length) {
    const asked = Object.values(filters()).some(Boolean);
    fill(byId("results"), notice("", asked ? "No study fits." : "No study was received yet.", asked ? "Filters ask for beginnings of words or exact values. Clear shows everything." : "As soon as a site receives an image, its study stands here."));
    return;
  }
  fill(byId("results"), table(
    [["Patient"], ["Study"], ["Accession"], ["Modality"], ["Site"], ["Received", "number"], ["How far"], ["Last received"]],
    items.map(studyRow), "Studies"));
}

function studyRow(item) {
  const name = personName(item.patient_name) || item.patient_id || "(nothing shared)";
  return el("tr", { "data-uid": item.study_instance_uid },
    el("td", {}, el("button", { type: "button", class: "plain", onclick: () => openStudy(item.study_instance_uid) }, name),
      el("span", { class: "hint" }, [item.patient_id, dicomDate(item.patient_birth_date), item.patient_sex].filter(Boolean).join(" · "))),
    el("td", {}, [dicomDate(item.study_date), item.study_description].filter(Boolean).join(" "),
      el("span", { class: "hint uid" }, item.study_instance_uid || "(names no study)")),
    el("td", {}, item.accession_number),
    el("td", {}, item.modalities.join(", ")),
    el("td", {}, item.sites.map((place) => place.site).join(", ")),
    el("td", { class: "number" }, item.received),
    el("td", {}, progress(item)),
    el("td", { title: item.last_received_at || "" }, moment(item.last_received_at)));
}

/** Counts by how far they are; for destinations in the title. */
export function progress(item) {
  const title = item.destinations.map((to) => `${to.site} → ${to.destination}: ${to.delivered} delivered, ${to.waiting} waiting, ${to.parked} parked`).join("\n");
  return Object.entries(PROGRESS).filter(([name]) => item[name] > 0)
    .map(([name, [kind, icon, text]]) => badge(kind, icon, `${item[name]} ${text}`, title));
}

function drawHeard() {
  const since = (performance.now() - fetchedAt) / 1000;
  const silent = heard.filter((site) => site.state === "silent" || site.state === "never");
  fill(byId("heard"), silent.map((site) => {
    const all = site.silent_nodes === site.nodes;
    const word = !site.last_heard_at ? "no node was heard of yet"
      : all ? `last heard of ${age(site.age_seconds + since)} (${moment(site.last_heard_at)})`
        : `silent: ${site.silent_nodes} of ${plural(site.nodes, "node", "nodes")}`;
    return notice("warn", `${site.site}: ${word}.`, `What happened ${all ? "there" : "at a silent node"} since then is not in this list. The site itself goes on receiving and delivering.`);
  }));
}
