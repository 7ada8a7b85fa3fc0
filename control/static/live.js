// The live feed: resumes where it was, says when the link is lost, asks by REST while a WebSocket cannot be had.

import { call } from "./api.js";

const FIRST_WAIT = 1000, LONGEST_WAIT = 30000, POLL = 5000;
const NOT_LOGGED_IN = 4401;

/** `on`: {event(line), refetch(), state("live" | "polling" | "lost"), loggedOut()}. Gives a function that ends it. */
export function follow(on) {
  let sequence = null, socket = null, wait = FIRST_WAIT, ended = false, timer = null;

  function connect() {
    if (ended) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const after = sequence === null ? "" : `?after=${sequence}`;
    socket = new WebSocket(`${scheme}://${location.host}/api/v1/live${after}`);
    socket.onmessage = (message) => take(JSON.parse(message.data));
    socket.onclose = (event) => {
      if (ended) return;
      if (event.code === NOT_LOGGED_IN) { on.loggedOut(); return; }
      on.state("lost");
      poll();
      timer = setTimeout(connect, wait * (0.5 + Math.random() / 2));
      wait = Math.min(wait * 2, LONGEST_WAIT);
    };
  }

  function take(message) {
    if (message.type === "hello") {
      wait = FIRST_WAIT;
      if (sequence === null) sequence = message.sequence;
      on.state("live");
    } else if (message.type === "refetch") {
      sequence = message.sequence;
      on.refetch();
    } else if (message.type === "event") {
      sequence = message.sequence;
      on.event(message);
    }
  }

  let polled = 0;
  async function poll() {
    if (ended || sequence === null || Date.now() - polled < POLL) return;
    polled = Date.now();
    try {
      const page = await call(`/events?after=${sequence}`);
      on.state("polling");
      if (page.refetch) { sequence = page.newest; on.refetch(); }
      page.items.forEach(take);
    } catch (problem) {
      if (problem.status === 401) on.loggedOut();
    }
  }

  connect();
  return () => { ended = true; clearTimeout(timer); if (socket) socket.close(); };
}
