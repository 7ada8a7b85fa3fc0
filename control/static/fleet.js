// The fleet: every site with its nodes. A word that is old turns grey; it never stays green.

import { call } from "./api.js";
import { badge, byId, el, fill, notice, table } from "./dom.js";
import { age, bytes, duration, moment, plural } from "./format.js";

const STALE_SECONDS = 180, EVERY = 5000;
const SEVERITY = { high: "bad", medium: "busy", low: "stale" };
const POLICY = {
  applied: ["good", "✓", "runs it"], pending: ["busy", "…", "not yet"], rejected: ["bad", "!", "rejected"],
  unknown: ["stale", "?", "not heard of"], none: ["stale", "–", "none published"],
};

let sites = null, fetchedAt = 0, problem = null, timer = null;
let known = () => {};

/** Start showing the fleet; `onSites` gets the names of the sites whenever they were read. */
export function showFleet(onSites) {
  known = onSites;
  clearInterval(timer);
  timer = setInterval(refreshFleet, EVERY);
  fill(byId("fleet"), notice("", "Loading the fleet …"));
  return refreshFleet();
}

export function hideFleet() {
  clearInterval(timer);
  sites = null;
}

export async function refreshFleet() {
  try {
    const found = [];
    let cursor = null;
    do {
      const page = await call(`/fleet?limit=1000${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
      found.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor);
    sites = found;
    fetchedAt = performance.now();
    problem = null;
    known(sites.map((site) => site.site));
  } catch (error) {
    problem = error;
  }
  draw();
}

function draw() {
  const parts = [];
  if (problem) parts.push(notice("error", problem.message, problem.hint));
  if (sites !== null) {
    // Ages go on while the server is silent: what was true then is not green now.
    const since = (performance.now() - fetchedAt) / 1000;
    if (!sites.length) parts.push(notice("", "There is no site yet.", "skerry-control site add NAME, then skerry-control token create NAME"));
    parts.push(...sites.map((site) => siteCard(site, since)));
    const nodes = sites.flatMap((site) => site.nodes);
    const well = nodes.filter((node) => isFresh(node, since)).length;
    fill(byId("fleet-summary"), `${plural(sites.length, "site", "sites")}, ${well} of ${plural(nodes.length, "node", "nodes")} heard of in the last 3 minutes`);
  }
  fill(byId("fleet"), parts);
}

const ageNow = (node, since) => (node.age_seconds === null ? null : node.age_seconds + since);
const isFresh = (node, since) => node.age_seconds !== null && ageNow(node, since) <= STALE_SECONDS;

function siteCard(site, since) {
  const wanted = site.policy_wanted ? `policy ${site.policy_wanted.generation}.${site.policy_wanted.version}` : "no policy published";
  const rows = site.nodes.map((node) => nodeRow(node, since));
  return el("div", { class: "card" },
    el("div", { class: "bar" }, el("h3", {}, site.site), el("span", { class: "muted" }, wanted),
      site.deliveries_parked ? badge("bad", "!", `${site.deliveries_parked} parked`, "A person is needed.") : null,
      site.deliveries_waiting ? badge("busy", "…", `${site.deliveries_waiting} waiting`) : null),
    rows.length
      ? table([["Node"], ["State"], ["Last word"], ["Policy"], ["Waiting", "number"], ["Parked", "number"], ["Oldest"], ["Disk free"], ["Conditions"]], rows, `Nodes of ${site.site}`)
      : notice("", "No box is enrolled here yet.", `skerry-control token create ${site.site}`));
}

function nodeRow(node, since) {
  const fresh = isFresh(node, since);
  const report = node.report;
  const count = (value) => (report ? value : "unknown");
  return el("tr", { class: fresh ? "" : "stale" },
    el("td", {}, node.name, report ? el("span", { class: "hint" }, report.dicom_endpoint) : null),
    el("td", {}, stateBadge(node, fresh), presenceHint(node, fresh)),
    el("td", { title: node.last_contact_at || "" }, age(ageNow(node, since))),
    el("td", {}, policyCell(node)),
    el("td", { class: "number" }, count(report?.deliveries_waiting)),
    el("td", { class: "number" }, count(report?.deliveries_parked)),
    el("td", {}, report && report.deliveries_waiting ? duration(report.oldest_waiting_seconds) : ""),
    el("td", {}, report && report.spool_total_bytes ? `${bytes(report.spool_free_bytes)} of ${bytes(report.spool_total_bytes)}` : ""),
    el("td", {}, conditions(report)));
}

function stateBadge(node, fresh) {
  if (node.state === "revoked") return badge("stale", "✕", "revoked");
  if (node.age_seconds === null) return badge("stale", "○", "not heard of yet");
  if (!fresh) return badge("stale", "◌", `unknown since ${moment(node.last_contact_at)}`);
  return badge("good", "●", "online");
}

/** The broker's word counts only where it differs from the node's own. */
function presenceHint(node, fresh) {
  if (fresh && node.presence === "offline") return el("span", { class: "hint" }, "left the broker");
  if (!fresh && node.presence === "online") return el("span", { class: "hint" }, "still connected to the broker");
  return null;
}

function policyCell(node) {
  const [kind, icon, text] = POLICY[node.policy_state] || POLICY.unknown;
  const active = node.report && node.report.active.version ? ` ${node.report.active.generation}.${node.report.active.version}` : "";
  const parts = [badge(kind, icon, `${text}${active}`)];
  if (node.report && node.policy_state === "rejected") parts.push(el("span", { class: "hint" }, node.report.attempt_error));
  return parts;
}

function conditions(report) {
  if (!report || !report.conditions.length) return report ? el("span", { class: "muted" }, "none") : "";
  return report.conditions.map((one) =>
    el("div", {}, badge(SEVERITY[one.severity] || "stale", one.severity === "high" ? "!" : "i", one.code), one.text,
      one.hint ? el("span", { class: "hint" }, one.hint) : null));
}
