import type { MovePreview, PeopleCount, StepCount, StepStanding } from '../../sequences/moves/move-count.js';
import type { PlannedChange } from './funnel-diff.js';
import { allSteps, isMailStep } from '../schemas/step.schemas.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';

/** What a change of a funnel means for the people who are in its sequence. */
export interface PeopleAffected extends Omit<MovePreview, 'toVersion'> {
  sequence: string;
  /** `stay`: everybody stays in the version they joined; the numbers are then those of forward-only. */
  choice: 'stay' | 'forward-only' | 'catch-up' | 're-map';
  /** How people stand to the steps that are new or changed. */
  steps: (StepStanding & { isNew: boolean })[];
}

/** The steps of the new version that the changes are about, with whether they are new. */
export function changedSteps(
  changes: readonly PlannedChange[],
  { sequence }: FunnelDefinition,
): Map<string, boolean> {
  const steps = new Map<string, boolean>();
  const named = new Map(changes.map(({ object, sign }) => [object, sign]));
  for (const { step } of allSteps(sequence.steps)) {
    const sign = named.get(`step ${step.key}`);
    const mailChanged = isMailStep(step) && named.has(`email ${step.email}`);
    if (sign !== undefined || mailChanged) steps.set(step.key, sign === '+');
  }
  return steps;
}

const STAY_REASON: Readonly<Record<string, string>> = {
  finished: 'they have finished',
  exit_holds:
    'they have finished, and what ends the sequence holds for them, such as a purchase since they joined',
  no_place: 'nothing they have had is in the new version',
  not_mapped: 'the new version has not their step, and no other was named for it',
};

/** `212 are past step 3; 40 would newly get step 2b`, a line each. */
export function peopleWords({ sequence, choice, ...people }: PeopleAffected): string[] {
  const stays = choice === 'stay';
  const head = stays
    ? `${verb(people.people, 'stay')} in the version they joined; in the new one, forward-only:`
    : `${are(people.people)} taken to the new version, ${choice}:`;
  const would = (count: number): string => (stays ? 'would newly get' : `newly ${verb(count, 'get')}`);
  const gains = new Map(people.gains.map((gain) => [gain.step, gain]));
  const lines = people.steps.map(({ step, isNew, ahead, past }) => {
    const gained = gains.get(step);
    gains.delete(step);
    const parts = past === 0 ? [] : [`${past} ${are(past)} past step ${step}`];
    if (gained !== undefined) parts.push(`${range(gained)} ${would(gained.people)} step ${step}`);
    const others = ahead - (gained?.people ?? 0);
    if (others > 0) parts.push(`${others} ${are(others)} before ${isNew ? 'the new step' : 'step'} ${step}`);
    return parts.join('; ');
  });
  const wouldNot = (count: number): string =>
    stays ? 'would no longer get' : `no longer ${verb(count, 'get')}`;
  for (const gain of gains.values()) lines.push(`${range(gain)} ${would(gain.people)} step ${gain.step}`);
  for (const loss of people.losses) lines.push(`${range(loss)} ${wouldNot(loss.people)} step ${loss.step}`);
  lines.push(...inAll(people.gains, people.gainers, would), ...inAll(people.losses, people.losers, wouldNot));
  for (const { step, product, people: count } of people.owners)
    lines.push(
      `${count} ${verb(count, 'own')} ${product} already: step ${step} passes them over where they come to it`,
    );
  if (!stays)
    for (const { from, to, people: count } of people.moves)
      if (from !== to)
        lines.push(`${count} ${count === 1 ? 'goes' : 'go'} from ${from ?? 'the end'} to ${to ?? 'the end'}`);
  for (const { reason, people: count } of people.stays)
    if (!stays || reason !== 'finished')
      lines.push(
        `${count} ${stays ? 'would stay' : verb(count, 'stay')} in theirs: ${STAY_REASON[reason] ?? reason}`,
      );
  const indented = lines.filter((line) => line !== '').map((line) => `    ${line}`);
  return [`people of sequence ${sequence}: ${people.people} ${head}`, ...indented];
}

/**
 * `40`, or `up to 40` where it hangs on split tests and branches, or `12 to 40` where some of them get it in any case. Where
 * split tests alone decide, `up to 40 (about 20 by the weights of split tests)`.
 */
function range({ people, sure, expected }: PeopleCount): string {
  if (sure === people) return String(people);
  const about =
    expected === undefined ? '' : ` (about ${Math.round(expected)} by the weights of split tests)`;
  return `${sure === 0 ? `up to ${people}` : `${sure} to ${people}`}${about}`;
}

/** Who gets the mail of one arm does not get that of another: each person once. */
function inAll(steps: readonly StepCount[], all: PeopleCount, would: (count: number) => string): string[] {
  if (steps.length < 2) return [];
  const names = steps.map(({ step }) => step).join(', ');
  return [`in all, ${range(all)} ${would(all.people)} one or more of ${names}`];
}

function are(count: number): string {
  return count === 1 ? 'is' : 'are';
}

function verb(count: number, name: string): string {
  return count === 1 ? `${name}s` : name;
}
