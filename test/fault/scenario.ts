import type { RelayOptions } from './sinks.js';
import type { World } from './world.js';

export interface Scenario {
  name: string;
  /** Numbers of the fault list this stands for. */
  covers: string;
  /** Left out of the short form when false. */
  short: boolean;
  /** Nothing in it is left to chance, so one run says what three would. */
  sameForEverySeed?: boolean;
  mails?: number;
  sink?: RelayOptions;
  /** In place of `sink`, when there are several. */
  relays?: readonly RelayOptions[];
  /** Crashes the server itself, so no other scenario may use it meanwhile. */
  crashesServer?: boolean;
  /** Why it cannot be had on this machine; null when it can. */
  leftOut?(): Promise<string | null>;
  /** Puts the fault in and brings the ledger to its end; returns what is wrong beyond the oracle. */
  run(world: World, seed: number): Promise<string[] | void>;
}

/** `[]` when it holds. */
export function expectThat(holds: boolean, otherwise: string): string[] {
  return holds ? [] : [otherwise];
}
