import { WEEKDAYS, type Weekday } from './zoned-time.js';

/** `Mon to Fri`, `Mon, Wed`: three days or more in a row are named by their ends. */
export function weekdayText(days: readonly Weekday[]): string {
  const runs: Weekday[][] = [];
  for (const [index, day] of WEEKDAYS.entries()) {
    if (!days.includes(day)) continue;
    const last = runs.at(-1);
    if (last?.at(-1) === WEEKDAYS[index - 1] && last !== undefined) last.push(day);
    else runs.push([day]);
  }
  return runs
    .map((run) => run.map(capital))
    .map((run) => (run.length < 3 ? run.join(', ') : `${run[0]} to ${run.at(-1)}`))
    .join(', ');
}

function capital(day: Weekday): string {
  return `${day.slice(0, 1).toUpperCase()}${day.slice(1)}`;
}
