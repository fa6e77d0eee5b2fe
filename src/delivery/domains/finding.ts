/** `unknown`: the DNS could not be asked. Only `fail` stops anything. */
export type Level = 'ok' | 'warn' | 'fail' | 'unknown';

/** One line of the domain check; `id` is D1 to D9 of the checklist. */
export interface Finding {
  id: `D${number}`;
  name: string;
  level: Level;
  /** For the owner: what is so and what to do. */
  detail: string;
}

/** What is not good about one of them. */
export interface Remark {
  level: Exclude<Level, 'ok'>;
  text: string;
}

const ORDER: readonly Level[] = ['ok', 'unknown', 'warn', 'fail'];

export function worst(levels: readonly Level[]): Level {
  return levels.reduce<Level>((a, b) => (ORDER.indexOf(b) > ORDER.indexOf(a) ? b : a), 'ok');
}

/** One finding of several remarks: the worst counts, and what is good is only said when nothing else is. */
export function finding(id: Finding['id'], name: string, good: string, remarks: readonly Remark[]): Finding {
  if (remarks.length === 0) return { id, name, level: 'ok', detail: good };
  const level = worst(remarks.map((remark) => remark.level));
  return { id, name, level, detail: remarks.map(({ text }) => text).join('; ') };
}

export function unasked(id: Finding['id'], name: string, reason: string): Finding {
  return { id, name, level: 'unknown', detail: `could not ask the DNS (${reason})` };
}

/** Beside what is known: nobody answered for this name. */
export function unaskedRemark(name: string, reason: string): Remark {
  return { level: 'unknown', text: `could not ask for ${name} (${reason})` };
}
