import { createHash } from 'node:crypto';
import type { MovePreview } from '../../sequences/moves/move-count.js';

/**
 * Stands for a plan that was shown, as text that people can copy: hashes of what it would write and of what it was compared
 * with, and who would get what. `stay`: nobody is moved.
 */
export interface PlanToken {
  next: string;
  current: string;
  people: ShownMove | 'stay';
}

/**
 * What a plan that takes people along has shown. Counts, since people walk on while the owner reads: who has come past a mail
 * in the meantime does not get it, and nobody may get or lose one that was not shown. Who has joined since is no part of it:
 * they get what all get who join from now on.
 */
interface ShownMove {
  at: Date;
  gets: People;
  loses: People;
}

/** How many, by the key of the step. */
type People = ReadonlyMap<string, number>;

/** How many of those who had joined at `ShownMove.at` get and lose which mails now. */
export type MoveNow = Pick<MovePreview, 'gains' | 'losses'>;

const TOKEN =
  /^plan-([0-9a-f]{12})-([0-9a-f]{12}|new)-(stay|([0-9a-z]{1,11})((?:\.(?:get|lose)\.[^.+\s]+\.\d{1,12})*))$/;

export function planToken(next: unknown, current: Buffer | null, people: ShownMove | 'stay'): PlanToken {
  return {
    next: shortHash(JSON.stringify(next)),
    current: current === null ? 'new' : current.toString('hex').slice(0, 12),
    people,
  };
}

export function shownMove(at: Date, { gains, losses }: MoveNow): ShownMove {
  const people = (counts: MoveNow['gains']): People =>
    new Map(counts.map(({ step, people: count }) => [step, count]));
  return { at, gets: people(gains), loses: people(losses) };
}

export function planTokenText({ next, current, people }: PlanToken): string {
  return `plan-${next}-${current}-${people === 'stay' ? people : shownText(people)}`;
}

/** `mi1xk2a0.get.story.40.lose.nudge.3` */
function shownText({ at, gets, loses }: ShownMove): string {
  const parts = [...gets].map(([step, people]) => `.get.${step}.${people}`);
  parts.push(...[...loses].map(([step, people]) => `.lose.${step}.${people}`));
  return `${at.getTime().toString(36)}${parts.join('')}`;
}

const BETWEEN = '+';

/** Of a plan for several funnels. */
export function joinPlanTokens(tokens: readonly string[]): string {
  return tokens.join(BETWEEN);
}

/** One for each funnel of the plan; null when the text is no token. */
export function parsePlanTokens(text: string): PlanToken[] | null {
  const tokens = text.split(BETWEEN).map(parsePlanToken);
  const known = tokens.filter((token) => token !== null);
  return known.length === tokens.length ? known : null;
}

function parsePlanToken(text: string): PlanToken | null {
  const [, next, current, people, at, counts = ''] = TOKEN.exec(text.trim()) ?? [];
  if (next === undefined || current === undefined || people === undefined) return null;
  if (at === undefined) return { next, current, people: 'stay' };
  const shown = { gets: new Map<string, number>(), loses: new Map<string, number>() };
  for (const [, kind, step = '', count] of counts.matchAll(/\.(get|lose)\.([^.]+)\.(\d+)/g))
    shown[kind === 'get' ? 'gets' : 'loses'].set(step, Number(count));
  return { next, current, people: { at: new Date(Number.parseInt(at, 36)), ...shown } };
}

/** Why the plan that was shown is not the one that would be carried out; empty when it is. `move`: null where nobody is moved. */
export function planDifferences(
  shown: PlanToken,
  now: Omit<PlanToken, 'people'>,
  move: MoveNow | null,
): string[] {
  const differences: string[] = [];
  if (shown.people === 'stay' && move !== null) differences.push('the plan left people where they are');
  else if (shown.people !== 'stay' && move === null)
    differences.push('the plan took people to the new version');
  else if (shown.next !== now.next) {
    const choice = move === null ? '' : ', or the choice for people is another';
    differences.push(
      `the funnel, or a template or file that it names, is not the one that was planned${choice}`,
    );
  }
  if (shown.current !== now.current) {
    if (shown.current === 'new') differences.push('the funnel has come into the database since');
    else if (now.current === 'new') differences.push('the funnel has gone from the database since');
    else differences.push('the funnel in the database was changed since');
  }
  if (shown.people !== 'stay' && move !== null)
    differences.push(
      ...unshown(move.gains, shown.people.gets, 'newly get'),
      ...unshown(move.losses, shown.people.loses, 'no longer get'),
    );
  return differences;
}

/** People who walk on may become fewer at a step; none may be added. */
function unshown(now: MoveNow['gains'], shown: People, verb: string): string[] {
  return now
    .filter(({ step, people }) => people > (shown.get(step) ?? 0))
    .map(
      ({ step, people }) =>
        `${people} of those who were there would ${verb} step ${step}, and the plan showed ${shown.get(step) ?? 0}`,
    );
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}
