// Formats numbers, units and times for people, in the language of the browser. A missing value is a dash, never a zero.

export const NOTHING = "–";

const DECIMALS = { maximumFractionDigits: 1 };
const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat(undefined, { notation: "compact", ...DECIMALS });
const percents = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 2 });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const fineClock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "always", style: "short" });
const currencies = new Map();

const isAbsent = (value) => value === null || value === undefined || Number.isNaN(Number(value));

/** 12,345 */
export const count = (value) => (isAbsent(value) ? NOTHING : whole.format(value));

/** Compact from ten thousand on, as 12.3K: for axes and narrow places. */
export const short = (value) =>
  isAbsent(value) ? NOTHING : Math.abs(value) < 10_000 ? decimal(value) : compact.format(value);

/** A number with the significant decimals only: 0.123, 4.56, 78.9, 1,234. */
export function decimal(value) {
  if (isAbsent(value)) return NOTHING;
  const size = Math.abs(value);
  const digits = size === 0 || size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return Number(value).toLocaleString(undefined, { maximumFractionDigits: digits });
}

/** A decimal in a string with all its digits: 4,182,335.10. Text that is not a number is returned unchanged. */
export function exactNumber(text) {
  if (text === null || text === undefined) return NOTHING;
  const found = /^-?\d+(?:\.(\d+))?$/.exec(text);
  if (!found) return text;
  const digits = found[1]?.length ?? 0;
  return new Intl.NumberFormat(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(text);
}

/** A share from 0 to 1, as 12.3%. A nonzero share is never shown as 0%, and a share below 1 never as 100%. */
export function percent(share) {
  if (isAbsent(share)) return NOTHING;
  if (share > 0 && share < 0.0001) return `< ${percents.format(0.0001)}`;
  if (share > 0.9999 && share < 1) return `> ${percents.format(0.9999)}`;
  return percents.format(share);
}

/** An amount in its currency, without cents from a thousand on. An unknown currency code follows the number. */
export function money(amount, currency) {
  if (isAbsent(amount)) return NOTHING;
  const digits = Math.abs(amount) >= 1000 ? 0 : 2;
  const key = `${currency} ${digits}`;
  if (!currencies.has(key)) {
    const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
    try {
      currencies.set(key, new Intl.NumberFormat(undefined, { style: "currency", currency, ...options }));
    } catch {
      const plain = new Intl.NumberFormat(undefined, options);
      currencies.set(key, { format: (value) => `${plain.format(value)} ${currency}` });
    }
  }
  return currencies.get(key).format(amount);
}

const STEPS = [
  [60, 1, "s"],
  [3600, 60, "min"],
  [86_400, 3600, "h"],
  [Infinity, 86_400, "d"],
];

/** A duration in seconds, in one or two units: 120 ms, 4.5 s, 3 min 20 s, 2 h 5 min, 3 d 4 h. */
export function duration(seconds) {
  if (isAbsent(seconds)) return NOTHING;
  const sign = seconds < 0 ? "−" : "";
  const size = Math.abs(seconds);
  if (size < 1) return `${sign}${Math.round(size * 1000)} ms`;
  if (size < 59.95) return `${sign}${decimal(size < 10 ? size : Math.round(size * 10) / 10)} s`;
  const index = STEPS.findIndex(([below]) => size < below);
  const [, unit, name] = STEPS[Math.max(index, 1)];
  const [, smaller, smallerName] = STEPS[Math.max(index, 1) - 1];
  let large = Math.floor(size / unit);
  let small = Math.round((size - large * unit) / smaller);
  if (small * smaller === unit) [large, small] = [large + 1, 0];
  return `${sign}${large} ${name}${small ? ` ${small} ${smallerName}` : ""}`;
}

/** A duration in one unit, for axes: 500 ms, 100 s, 15 min, 3 h. */
export function briefDuration(seconds) {
  if (seconds < 1) return duration(seconds);
  const [, unit, name] = STEPS.find(([below]) => seconds < below * 10);
  return `${decimal(seconds / unit)} ${name}`;
}

/** 1.5 MiB */
export function bytes(value) {
  if (isAbsent(value)) return NOTHING;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(value > 0 ? Math.floor(Math.log2(value) / 10) : 0, units.length - 1);
  return `${decimal(value / 1024 ** power)} ${units[power]}`;
}

// The browser's clock may be wrong, so ages are computed with the server's clock.
let skewMs = 0;

const NOISE_MS = 2000;

/** Set the server's time from a Date header. The header has whole seconds, so small differences are ignored. */
export function setServerTime(date) {
  const difference = Date.parse(date) - Date.now();
  if (Number.isFinite(difference)) skewMs = Math.abs(difference) > NOISE_MS ? difference : 0;
}

/** Milliseconds since 1970, by the server's clock. */
const serverNow = () => Date.now() + skewMs;

/** Seconds since a time; null for none. */
export const ageSeconds = (iso) => (iso ? (serverNow() - Date.parse(iso)) / 1000 : null);

const UNITS = [
  [60, 1, "second"],
  [3600, 60, "minute"],
  [86_400, 3600, "hour"],
  [Infinity, 86_400, "day"],
];

/** "5 min. ago", "in 2 hr."; "now" within two seconds. */
export function ago(iso) {
  if (!iso) return NOTHING;
  const seconds = -ageSeconds(iso);
  if (Math.abs(seconds) < 2) return "now";
  const [, unit, name] = UNITS.find(([below]) => Math.abs(seconds) < below);
  return relative.format(Math.round(seconds / unit), name);
}

/** 24 Nov 2026, 23:12:05 UTC+1 */
export const exactTime = (iso) => (iso ? exact.format(new Date(iso)) : NOTHING);

/** 23:12, or 23:12:05 where minutes are too coarse. */
export const clockTime = (time, isFine = false) => (isFine ? fineClock : clock).format(new Date(time));

/** snake_case as words, the first with a capital: "unit_price_invalid" is "Unit price invalid". */
export const words = (name) => {
  const text = String(name ?? "")
    .replaceAll("_", " ")
    .trim();
  return text ? text[0].toUpperCase() + text.slice(1) : NOTHING;
};

/** "1 file", "2 files". */
export const plural = (value, one, many = `${one}s`) => `${count(value)} ${Number(value) === 1 ? one : many}`;
