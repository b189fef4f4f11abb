// A list that spans several pages. After each change, all shown pages are read again, each from the end of the previous
// one, so no item is missing between them and no outdated item remains.

import { get } from "./api.js";

/**
 * Poll a list, and call `show({ items, next, fault, ...page })` whenever it has changed. Returns `{ now, more, stop }`:
 * `now()` polls immediately, `more()` shows one more page, `stop()` ends the polling.
 */
export function longList(watch, path, everyMs, show) {
  let pages = 1;
  let turn = 0;
  let first = null;

  async function update() {
    const mine = ++turn;
    let { items, next } = first;
    let fault = null;
    try {
      for (let page = 1; page < pages && next; page += 1) {
        const more = await get(`${path}&before=${encodeURIComponent(next)}`);
        if (mine !== turn) return;
        items = [...items, ...more.items];
        next = more.next;
      }
    } catch (error) {
      fault = error.message;
    }
    if (mine === turn) show({ ...first, items, next, fault });
  }

  const source = watch(path, everyMs, (page) => {
    first = page;
    update();
  });
  return {
    now: source.now,
    more() {
      pages += 1;
      if (first) update();
    },
    stop() {
      turn += 1;
      source.stop();
    },
  };
}
