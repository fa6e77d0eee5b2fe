import { Socket } from 'node:net';
import { vi } from 'vitest';
import { becomesTrue } from '../../src/infra/database/postmaster.js';

export interface Silences {
  /**
   * Waits until so many of the connections wait that long for the other side, give or take some seconds, and lets that time
   * pass for all of them.
   */
  pass(ms: number, count?: number): Promise<void>;
  end(): void;
}

/** How a connection is called in the set of those that time passes for. */
export const connectionName = (ourPort: number, theirPort: number): string => `${ourPort}>${theirPort}`;

/**
 * The minutes that a connection of ours waits for an answer pass when a test says so, for those of `kept` alone: with others
 * the answer is on its way, and it is chance whether it is there.
 */
export function silences(kept: ReadonlySet<string>): Silences {
  const waits = new Map<Socket, number>();
  const original = Object.getOwnPropertyDescriptor(Socket.prototype, 'setTimeout')
    ?.value as Socket['setTimeout'];
  const spy = vi.spyOn(Socket.prototype, 'setTimeout').mockImplementation(function setTimeout(
    this: Socket,
    ms: number,
    callback?: () => void,
  ) {
    waits.set(this, ms);
    return original.call(this, ms, callback);
  });
  const isKept = ({ localPort = 0, remotePort = 0 }: Socket): boolean =>
    kept.has(connectionName(localPort, remotePort));
  const waiting = (ms: number): Socket[] =>
    [...waits].flatMap(([socket, waitsMs]) =>
      !socket.destroyed && isKept(socket) && Math.abs(waitsMs - ms) < 10_000 ? [socket] : [],
    );
  return {
    pass: async (ms, count = 1) => {
      if (!(await becomesTrue(async () => waiting(ms).length >= count, 25_000)))
        throw new Error(`${waiting(ms).length} connections wait for ${ms} ms, not ${count}`);
      for (const socket of waiting(ms)) socket.emit('timeout');
    },
    end: () => spy.mockRestore(),
  };
}
