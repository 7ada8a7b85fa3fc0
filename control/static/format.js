// How values are read by people. Pure.

const MINUTE = 60, HOUR = 3600, DAY = 86400;

export function age(seconds) {
  if (seconds === null || seconds === undefined) return "never";
  if (seconds < 5) return "just now";
  if (seconds < MINUTE) return `${Math.floor(seconds)} s ago`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min ago`;
  if (seconds < DAY) return `${Math.floor(seconds / HOUR)} h ago`;
  return `${Math.floor(seconds / DAY)} d ago`;
}

export function duration(seconds) {
  if (seconds < MINUTE) return `${seconds} s`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min`;
  if (seconds < DAY) return `${(seconds / HOUR).toFixed(1)} h`;
  return `${(seconds / DAY).toFixed(1)} d`;
}

export function bytes(count) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let place = 0;
  while (count >= 1000 && place < units.length - 1) { count /= 1000; place += 1; }
  return `${count < 10 && place ? count.toFixed(1) : Math.round(count)} ${units[place]}`;
}

const two = (number) => String(number).padStart(2, "0");

/** Local date and time to the second; the UTC text belongs into a title. */
export function moment(text) {
  if (!text) return "unknown";
  const at = new Date(text);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(text)}`;
}

export function clock(text) {
  const at = new Date(text);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** PS3.5 PN: the first component group, family name first. */
export function personName(text) {
  const [family = "", ...given] = (text || "").split("=")[0].split("^");
  return [family, given.filter(Boolean).join(" ")].filter(Boolean).join(", ");
}

/** PS3.5 DA; anything else is shown as it came. */
export function dicomDate(text) {
  return /^\d{8}$/.test(text) ? `${text.slice(0, 4)}-${text.slice(4, 6)}-${text.slice(6)}` : text;
}

export const PROGRESS = {
  delivered: ["good", "✓", "delivered"],
  waiting: ["busy", "…", "waiting"],
  parked: ["bad", "!", "parked"],
  unrouted: ["stale", "–", "no route"],
};

export function plural(count, one, many) {
  return `${count} ${count === 1 ? one : many}`;
}
