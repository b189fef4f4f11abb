// From which age on the numbers of the overview are called late, in seconds.

export const LATE_LIVE_SECONDS = 60;
// A view is refreshed every five minutes: two rounds, and a minute.
export const LATE_VIEW_SECONDS = 660;
