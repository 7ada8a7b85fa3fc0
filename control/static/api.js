// The only door to the server. Problems (RFC 9457) become errors that people can read.

export class Problem extends Error {
  constructor(status, title, hint) {
    super(title);
    this.status = status;
    this.hint = hint || "";
  }
}

export async function call(path, { method = "GET", body, signal } = {}) {
  let answer;
  try {
    answer = await fetch(`/api/v1${path}`, {
      method, signal, credentials: "same-origin", cache: "no-store",
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The control plane does not answer.", "The sites go on by themselves. This page tries again.");
  }
  if (answer.status === 204) return null;
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(answer.status, content.title || `The server answered ${answer.status}.`, content.hint);
  return content;
}

/** A query string of the values that are not empty. */
export function query(values) {
  const wanted = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const text = new URLSearchParams(wanted).toString();
  return text ? `?${text}` : "";
}
