import { Socket } from 'node:net';

/**
 * Loaded into a worker by `node --import`: minutes of waiting for a silent relay become seconds. Half a minute, after which
 * it is slow, is a second and a half; the rest of its ten minutes is `FAULT_FINAL_MS`, three seconds unless that says more.
 */
const FACTOR = 20;
const LONG_MS = 10_000;
const MINUTES_MS = 120_000;
const finalMs = Number(process.env['FAULT_FINAL_MS'] ?? 3_000);

const real = Object.getOwnPropertyDescriptor(Socket.prototype, 'setTimeout')?.value as Socket['setTimeout'];
Socket.prototype.setTimeout = function setTimeout(this: Socket, ms: number, callback?: () => void): Socket {
  const shorter = ms > MINUTES_MS ? finalMs : ms > LONG_MS ? ms / FACTOR : ms;
  return real.call(this, shorter, callback);
};
