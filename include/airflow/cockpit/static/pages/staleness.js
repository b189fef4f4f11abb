// The age above which the numbers of the overview count as stale, in seconds.

export const LATE_LIVE_SECONDS = 60;
// Views are refreshed every five minutes. The limit is two refreshes plus one minute.
export const LATE_VIEW_SECONDS = 660;
