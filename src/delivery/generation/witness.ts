import { jsonObject } from '../../values/json-object.js';

/** One mail at one of its claims. */
export interface ToldMail {
  id: string;
  epoch: number;
}

/**
 * What the ledger has told a process last, and which ledger, generation and run of the server that was: another run that
 * does not know of it is older than what was sent. Nothing that the process says later can make it known there: a mail is
 * claimed only within the fence, passes the barrier once in a claim, and has one end.
 */
export interface Witness {
  claimed: ToldMail | null;
  /** Let through the barrier: its body may have gone. */
  entered: ToldMail | null;
  ended: ToldMail | null;
  lineage: string;
  generation: number;
  server: string;
}

export const TOLD = ['claimed', 'entered', 'ended'] as const;

/** Null for anything that is not a witness of ours: half of one, or of an earlier version. */
export function readWitness(json: string): Witness | null {
  const value = jsonObject(json);
  if (value === null) return null;
  const { lineage, generation, server, ...rest } = value;
  if (typeof lineage !== 'string' || typeof server !== 'string' || !isWhole(generation)) return null;
  const [claimed, entered, ended] = TOLD.map((what) => toldMail(rest[what]));
  if (claimed === undefined || entered === undefined || ended === undefined) return null;
  return { claimed, entered, ended, lineage, generation, server };
}

/** Undefined for what is neither a mail nor null. */
function toldMail(value: unknown): ToldMail | null | undefined {
  if (value === null) return null;
  if (typeof value !== 'object' || value === undefined) return undefined;
  const { id, epoch } = value as Partial<Record<keyof ToldMail, unknown>>;
  // As PostgreSQL takes it: at most 18 digits are a bigint.
  return typeof id === 'string' && /^\d{1,18}$/.test(id) && isWhole(epoch) ? { id, epoch } : undefined;
}

function isWhole(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 31;
}
