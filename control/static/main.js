// Puts the page together: who is logged in, what is shown, what the keyboard does.

import { call, query } from "./api.js";
import { byId, el, fill } from "./dom.js";
import { hideFleet, refreshFleet, showFleet } from "./fleet.js";
import { clock } from "./format.js";
import { follow } from "./live.js";
import { offerSites, readAddress, searchAgain, showSearch, studyChanged } from "./search.js";
import { closeTrace, openTrace, refreshTrace, showTrace, traceChanged } from "./trace.js";

const LINES = 40;
const LINK = { live: ["good live", "live"], polling: ["busy", "asking every 5 s"], lost: ["bad", "link lost, trying again"] };
let unfollow = null;

async function start() {
  theme();
  keyboard();
  showSearch(openStudy);
  showTrace(() => remember(null));
  byId("login").addEventListener("submit", logIn);
  byId("logout").addEventListener("click", logOut);
  window.addEventListener("popstate", fromAddress);
  try {
    showMain(await call("/me"));
  } catch (problem) {
    showLogin(problem.status === 401 ? null : problem);
  }
}

function showMain(me) {
  fill(byId("who"), me.name || me.actor || "");
  for (const [id, hidden] of [["login-view", true], ["main-view", false], ["logout", false], ["strip", false]]) byId(id).hidden = hidden;
  showFleet(offerSites);
  fromAddress();
  if (unfollow) unfollow();
  unfollow = follow({ event: tell, refetch: refetchAll, state: linkState, loggedOut: () => showLogin(null) });
}

function showLogin(problem) {
  if (unfollow) unfollow();
  unfollow = null;
  hideFleet();
  if (!byId("trace").hidden) closeTrace();
  for (const [id, hidden] of [["login-view", false], ["main-view", true], ["logout", true], ["strip", true]]) byId(id).hidden = hidden;
  for (const id of ["fleet", "results", "heard", "lines", "trace", "who"]) fill(byId(id)); // nothing of patients stays behind
  loginError(problem);
  byId("login").elements.password.focus();
}

function loginError(problem) {
  byId("login-error").hidden = problem === null;
  fill(byId("login-error"), problem ? [problem.message, el("span", { class: "hint" }, problem.hint)] : []);
}

async function logIn(event) {
  event.preventDefault();
  const fields = byId("login").elements;
  try {
    const me = await call("/login", { method: "POST", body: { username: fields.username.value, password: fields.password.value } });
    fields.password.value = "";
    loginError(null);
    showMain(me || (await call("/me")));
  } catch (problem) {
    loginError(problem);
  }
}

async function logOut() {
  try { await call("/logout", { method: "POST" }); } catch { /* the cookie is gone or will be refused */ }
  showLogin(null);
}

function fromAddress() {
  readAddress();
  const study = new URLSearchParams(location.search).get("study");
  if (study !== null) openTrace(study === "-" ? "" : study);
  else if (!byId("trace").hidden) closeTrace();
}

function openStudy(uid) {
  remember(uid);
  openTrace(uid);
}

/** The open study stands in the address too. */
function remember(uid) {
  const wanted = Object.fromEntries(new URLSearchParams(location.search));
  if ((wanted.study ?? null) === (uid === null ? null : uid || "-")) return;
  delete wanted.study;
  if (uid !== null) wanted.study = uid || "-";
  history.pushState(null, "", location.pathname + query(wanted));
}

function tell(line) {
  const { body } = line;
  const list = byId("lines");
  const what = wordsOf(line);
  const uid = body.study_instance_uid;
  list.prepend(el("li", {}, el("time", { datetime: line.at }, clock(line.at)), el("b", {}, body.site), ` ${what} `,
    uid ? el("button", { type: "button", class: "plain uid", onclick: () => openStudy(uid) }, uid) : null));
  while (list.children.length > LINES) list.lastChild.remove();
  if (uid !== undefined) { studyChanged(uid); traceChanged(uid); }
  else if (line.kind === "node_presence") refreshFleet();
  else refetchAll();
}

const COUNTED = [["received", "received"], ["delivered", "delivered"], ["retrying", "to be tried again"], ["parked", "parked"]];

function wordsOf({ kind, body }) {
  if (kind === "node_presence") return body.state === "online" ? "a node reached the broker" : "a node left the broker";
  if (kind === "many_studies_changed") return `${body.studies} studies changed`;
  return COUNTED.filter(([name]) => body[name]).map(([name, word]) => `${body[name]} ${word}`).join(", ");
}

function refetchAll() {
  searchAgain();
  refreshFleet();
  refreshTrace();
}

function linkState(state) {
  const [kind, text] = LINK[state];
  byId("link").className = `badge ${kind}`;
  fill(byId("link"), text);
}

function keyboard() {
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && byId("trace").hidden && !byId("main-view").hidden) {
      event.preventDefault();
      byId("filters").elements.q.focus();
    }
  });
}

function theme() {
  const order = ["auto", "light", "dark"];
  const apply = (name) => {
    if (name === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    fill(byId("theme"), `Theme: ${name}`);
  };
  let now = localStorage.getItem("theme") || "auto";
  apply(now);
  byId("theme").addEventListener("click", () => {
    now = order[(order.indexOf(now) + 1) % order.length];
    localStorage.setItem("theme", now);
    apply(now);
  });
}

start();
