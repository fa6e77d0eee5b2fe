import { createHash } from 'node:crypto';
import type { PeopleAffected } from './people-affected.js';

/**
 * Stands for a plan that was shown, as text that people can copy: hashes of what it would write, of what it was compared
 * with, and of what it does with people. `stays`: nothing.
 */
export interface PlanToken {
  next: string;
  current: string;
  people: string;
}

const TOKEN = /^plan-([0-9a-f]{12})-([0-9a-f]{12}|new)-([0-9a-f]{12}|stay)$/;

export function planToken(next: unknown, current: Buffer | null, people: PeopleAffected | null): PlanToken {
  const moves = people !== null && people.choice !== 'stay';
  return {
    next: shortHash(JSON.stringify(next)),
    current: current === null ? 'new' : current.toString('hex').slice(0, 12),
    people: moves ? shortHash(JSON.stringify(people)) : 'stay',
  };
}

export function planTokenText({ next, current, people }: PlanToken): string {
  return `plan-${next}-${current}-${people}`;
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
  const [, next, current, people] = TOKEN.exec(text.trim()) ?? [];
  return next === undefined || current === undefined || people === undefined
    ? null
    : { next, current, people };
}

/** Why the plan that was shown is not the one that would be carried out; empty when it is. */
export function planDifferences(shown: PlanToken, now: PlanToken): string[] {
  const differences: string[] = [];
  if (shown.next !== now.next)
    differences.push('the funnel, or a template or file that it names, is not the one that was planned');
  if (shown.current !== now.current) {
    if (shown.current === 'new') differences.push('the funnel has come into the database since');
    else if (now.current === 'new') differences.push('the funnel has gone from the database since');
    else differences.push('the funnel in the database was changed since');
  }
  if (shown.people !== now.people) {
    if (shown.people === 'stay') differences.push('the plan left people where they are');
    else if (now.people === 'stay') differences.push('the plan took people to the new version');
    else differences.push('people in the sequence have moved on since, or the choice for them is another');
  }
  return differences;
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}
