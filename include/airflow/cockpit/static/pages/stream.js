// The stream page: batches, backlog, rejects, files and runs.

import { LineChart, StackedBars } from "../charts.js";
import { badge, card, facts, link, notice, table, when } from "../components.js";
import { fill, h } from "../dom.js";
import { briefDuration, count, duration, plural, short } from "../format.js";
import { files, waiting } from "./files.js";
import { rejects } from "./rejects.js";
import { retractions } from "./retraction.js";
import { offers } from "./steering.js";

export const title = "Stream";

const EVERY_MS = 1500;
const LEDGER_EVERY_MS = 2500;
const BACKLOG_EVERY_MS = 15_000;
const BATCHES = 120;

const STATES = {
  running: ["ok", "Running"],
  intake_paused: ["warn", "Intake paused"],
  stuck: ["bad", "Stuck"],
  stopping: ["warn", "Stopping"],
  draining: ["info", "Draining"],
  starting: ["info", "Starting"],
  paused: ["warn", "Paused"],
  drained: ["idle", "Drained"],
  down: ["bad", "Down"],
};

// The sink's own stages, in order. The stages that Spark measures contain them.
const STAGES = {
  wait: "read and validate",
  events: "events",
  rejects: "rejects",
  conflicts: "conflicts",
  rollups: "rollups",
  files: "file balances",
};

export async function start({ main, me, watch }) {
  const lead = h("div", { class: "lead" }, h("h1", {}, title));
  const state = h("div", { class: "column" });
  const durations = new StackedBars("Time per batch, by stage", {
    format: (ms) => duration(ms / 1000),
    tick: (ms) => briefDuration(ms / 1000),
    empty: "No batch has been committed yet.",
  });
  const lag = new LineChart("Lag per batch, from arrival to commit", {
    format: duration,
    tick: briefDuration,
    empty: "No batch has been committed yet.",
  });
  const backlog = new LineChart("Waiting files per minute", {
    format: short,
    isWhole: true,
    empty: "No minute has been counted yet.",
  });
  const rejected = h("div");
  const delivered = h("div");
  const taken = h("div");
  const runs = h("div");
  const chart = (one, look = "") => h("section", { class: `card ${look}` }, one.element);
  main.append(
    lead,
    state,
    h("div", { class: "grid" }, chart(durations), chart(lag, "half"), chart(backlog, "half")),
    rejected,
    delivered,
    taken,
    runs,
  );

  const { can_act } = await me;
  const showRetractions = retractions(taken, watch, can_act);
  const tellFiles = files(delivered, watch, can_act, showRetractions);
  const stream = watch("stream", EVERY_MS, (now) => {
    fill(lead, h("h1", {}, title), badge(...STATES[now.state]), can_act && offers(now, main, () => stream.now()));
    fill(state, trouble(now), condition(now));
    fill(runs, history(now));
    tellFiles(now);
  });
  watch("stream/backlog", BACKLOG_EVERY_MS, (minutes) => {
    const counted = minutes.filter((one) => one.files !== null);
    backlog.update({
      times: counted.map((one) => Date.parse(one.minute)),
      series: [{ name: "Files", values: counted.map((one) => one.files) }],
    });
  });
  watch(`stream/batches?limit=${BATCHES}`, LEDGER_EVERY_MS, ({ items }) => {
    const batches = [...items].reverse();
    durations.update(stages(batches));
    lag.update({
      times: batches.map((one) => Date.parse(one.committed_at)),
      series: [{ name: "Lag", values: batches.map((one) => one.lag_seconds) }],
    });
  });
  rejects(rejected, watch, can_act);
}

/** A notice about a problem of the stream, or about who paused or drained it. */
function trouble({ state, desired_state, requested_at, requested_by, intake_paused_because, run }) {
  if (state === "stuck")
    return notice(
      "bad",
      "The driver is alive, but its loop makes no progress",
      "The DAG watch_stream replaces it automatically.",
    );
  if (state === "down")
    return notice(
      "bad",
      "No driver sends heartbeats",
      run?.error ?? "Airflow restarts the driver automatically; see the DAG stream_events.",
    );
  if (state === "intake_paused") return notice("warn", "Intake paused", intake_paused_because);
  if (desired_state === "run") return null;
  const request = `${requested_by ?? "A user"} ${desired_state === "stop" ? "paused" : "drained"} the stream`;
  return notice(
    "info",
    request,
    h("span", {}, when(requested_at), ". New files wait until the stream is resumed."),
  );
}

function condition(now) {
  const { run, last_minute: rows } = now;
  const parts = ["accepted", "duplicate", "rejected"].map((kind) => `${count(rows[kind])} ${kind}`);
  return card(
    "Now",
    {},
    facts([
      ["Writer epoch", now.epoch ?? "none yet"],
      [
        "Driver",
        run ? (run.ended_at ? ["ended ", when(run.ended_at)] : ["up since ", when(run.started_at)]) : "never started",
      ],
      ["Last heartbeat", when(run?.heartbeat_at)],
      ["Restarts in 24 h", count(now.restarts_day)],
      ["Lag", duration(now.lag_seconds)],
      ["Last commit", when(now.last_committed_at)],
      ["Newest event", when(now.newest_event_at)],
      ["Waiting", waiting(now)],
      now.oldest_waiting_since && ["Oldest waiting file", when(now.oldest_waiting_since)],
    ]),
    h(
      "p",
      { class: "sum" },
      h("span", { class: "quiet" }, "Last minute: "),
      rows.read === 0 ? "no rows" : `${plural(rows.read, "row")} read = ${parts.join(" + ")}`,
    ),
  );
}

function stages(batches) {
  const known = Object.keys(STAGES).filter((stage) => batches.some((one) => one.durations_ms[stage] > 0));
  return {
    names: known.map((stage) => STAGES[stage]),
    bars: batches.map((one) => ({
      label: `Batch ${one.batch_id}, ${plural(one.read, "row")}`,
      time: one.committed_at,
      parts: known.map((stage) => one.durations_ms[stage] ?? 0),
    })),
  };
}

function history({ runs }) {
  const end = (run) => {
    if (run.error) return h("div", {}, badge("bad", "failed"), h("pre", {}, run.error));
    return run.ended_at ? badge("idle", "ended as requested") : badge("ok", "running");
  };
  const lasted = (run) => (Date.parse(run.ended_at ?? run.heartbeat_at) - Date.parse(run.started_at)) / 1000;
  const caption = "Driver runs";
  const columns = [
    { name: "Epoch", cell: (run) => run.epoch },
    { name: "Started", cell: (run) => when(run.started_at) },
    { name: "Duration", cell: (run) => duration(lasted(run)) },
    { name: "End", cell: end },
    {
      name: "Process",
      cell: (run) => [h("div", {}, `${run.pid} on ${run.host}`), h("div", { class: "quiet small" }, run.driver_id)],
    },
    { name: "Spark UI", cell: (run) => (run.ui_url && !run.ended_at ? link(run.ui_url, "open") : "–") },
  ];
  return card(
    caption,
    {},
    table({ caption, columns, rows: runs, key: (run) => run.epoch, nothing: "The driver has never been started." }),
  );
}
