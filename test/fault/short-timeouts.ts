import { Socket } from 'node:net';

/** Loaded into a worker by `node --import`: minutes of waiting for a silent relay become seconds. */
const FACTOR = 20;
const LONG_MS = 10_000;

const real = Object.getOwnPropertyDescriptor(Socket.prototype, 'setTimeout')?.value as Socket['setTimeout'];
Socket.prototype.setTimeout = function setTimeout(this: Socket, ms: number, callback?: () => void): Socket {
  return real.call(this, ms > LONG_MS ? ms / FACTOR : ms, callback);
};
