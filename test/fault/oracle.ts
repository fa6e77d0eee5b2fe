/** A row of the ledger at the end of a scenario. */
export interface LedgerRow {
  messageId: string;
  address: string;
  class: 'transactional' | 'marketing';
  state: string;
  /** How often the mail was unclear: a transactional one is then sent once more. */
  unknownCount: number;
}

export interface Evidence {
  rows: readonly LedgerRow[];
  /** Message-ID to the number of times the relay took it. */
  taken: ReadonlyMap<string, number>;
  recipients: ReadonlyMap<string, string>;
  /** The most mails that may be unknown. */
  unknownBound: number;
  planned: number;
  /** The ledger was set back by a restored backup: what it then says of a mail may be less than what happened. */
  setBack?: boolean;
}

export interface Verdict {
  counts: Record<string, number>;
  /** Mails that were unknown at any time. */
  unclear: number;
  taken: number;
  duplicates: number;
  /** Transactional ones taken a second time after their first try was unclear, as is stated. */
  again: number;
  /** Called accepted, and the relay never had them. */
  lost: number;
  violations: string[];
}

const FINAL = ['accepted', 'rejected', 'unknown', 'suppressed', 'expired', 'cancelled'];
const MAY_BE_TAKEN: ReadonlySet<string> = new Set(['accepted', 'unknown']);

/**
 * The promise, checked against what the relay really took: each planned mail in one final state, none taken twice,
 * accepted ⊆ taken ⊆ accepted ∪ unknown, and no more unknown than lanes were open at the crashes, those among them that
 * were parked because the relay took long to answer.
 */
export function judge({
  rows,
  taken,
  recipients,
  unknownBound,
  planned,
  setBack = false,
}: Evidence): Verdict {
  const counts: Record<string, number> = Object.fromEntries(FINAL.map((state) => [state, 0]));
  for (const { state } of rows) counts[state] = (counts[state] ?? 0) + 1;
  const known = new Set(rows.map(({ messageId }) => messageId));
  const violations: string[] = [];
  const say = (count: number, what: string): void => void (count > 0 && violations.push(`${count} ${what}`));

  const mayGoAgain = (row: LedgerRow): boolean => row.class === 'transactional' && row.unknownCount > 0;
  const allowed = (row: LedgerRow): number => (mayGoAgain(row) ? 2 : 1);
  const again = rows.filter((row) => mayGoAgain(row) && taken.get(row.messageId) === 2).length;
  const duplicates = rows.filter((row) => (taken.get(row.messageId) ?? 0) > allowed(row)).length;
  const lost = rows.filter(({ state, messageId }) => state === 'accepted' && !taken.has(messageId)).length;
  say(duplicates, 'taken twice');
  say(lost, 'accepted but never taken');
  const took = ({ messageId }: LedgerRow): boolean => taken.has(messageId);
  say(
    setBack ? 0 : rows.filter((row) => took(row) && !MAY_BE_TAKEN.has(row.state)).length,
    'taken, but neither accepted nor unknown',
  );
  say(rows.filter(({ state }) => !FINAL.includes(state)).length, 'in no final state');
  say([...taken.keys()].filter((id) => !known.has(id)).length, 'taken that were never planned');
  say(
    rows.filter(({ messageId, address }) => (recipients.get(messageId) ?? address) !== address).length,
    'to the wrong address',
  );
  // Also those that were sent once more, or that something has since shown to have arrived.
  const unknown = rows.reduce(
    (sum, row) => sum + Math.max(row.unknownCount, row.state === 'unknown' ? 1 : 0),
    0,
  );
  if (unknown > unknownBound) violations.push(`${unknown} unknown, ${unknownBound} allowed`);
  const sum = FINAL.reduce((total, state) => total + (counts[state] ?? 0), 0);
  if (sum !== planned || new Set(rows.map(({ messageId }) => messageId)).size !== planned)
    violations.push(`${sum} rows for ${planned} planned mails`);
  const total = [...taken.values()].reduce((a, b) => a + b, 0);
  return { counts, unclear: unknown, taken: total, duplicates, again, lost, violations };
}
