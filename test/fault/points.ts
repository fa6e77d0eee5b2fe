import { subscribe } from 'node:diagnostics_channel';

/**
 * Loaded into a worker by `node --import`. The product tells on a diagnostics channel where in a mail's way it is;
 * subscribers are called in that very moment, so the process ends, or stands still, exactly there.
 * `FAULT_POINT` names the point, `FAULT_HIT` the how-manyth passing of it, `FAULT_SIGNAL` what happens.
 */
const point = process.env['FAULT_POINT'];
const signal = process.env['FAULT_SIGNAL'] ?? 'SIGKILL';
let left = Number(process.env['FAULT_HIT'] ?? 1);

subscribe('wellspring:delivery', (message) => {
  if ((message as { point: string }).point !== point || --left !== 0) return;
  process.kill(process.pid, signal);
});
