import { mailsAhead, stepsAhead, type Placement, type Standing, type Versions } from './placement.js';
import type { PreparedSequence } from '../steps/prepared.js';
import { isSureOfOne, shareOfOne } from './sure-steps.js';

/**
 * How many people may get a step, and how many of them do whatever split tests and branches say, if they stay. `expected`:
 * by the weights of split tests, where some are not sure and nothing but these tests decides about them.
 */
export interface PeopleCount {
  people: number;
  sure: number;
  expected?: number;
}

export interface StepCount extends PeopleCount {
  step: string;
}

/** Who would get what. */
export interface MovePreview {
  toVersion: number;
  /** People in earlier versions. */
  people: number;
  /** From step to step; null is the end of the sequence. */
  moves: { from: string | null; to: string | null; people: number }[];
  stays: { reason: string; people: number }[];
  /** Mails that come to people who would not get them in their version, and the other way round. */
  gains: StepCount[];
  losses: StepCount[];
  /** Each person once, however many mails they gain or lose. */
  gainers: PeopleCount;
  losers: PeopleCount;
  /** Who owns already what a new or changed step offers, and is passed over where they come to it. */
  owners: StepOwners[];
}

/** People in earlier versions of a sequence who own what a step offers. */
export interface StepOwners {
  step: string;
  product: string;
  people: number;
}

/** How the people of a sequence stand to a step of the version they would go to. */
export interface StepStanding {
  step: string;
  ahead: number;
  past: number;
}

interface Ahead {
  mails: ReadonlySet<string>;
  steps: ReadonlySet<string>;
  /** Whether one of these mails comes for sure, by their names. */
  isSure(mails: readonly string[]): boolean;
  /** The part of the people that one of these mails comes to; null where nobody knows. */
  share(mails: readonly string[]): number | null;
}

/** `expected`: null once it is not known of somebody. */
interface Count {
  people: number;
  sure: number;
  expected: number | null;
}

/** Adds up where people would go, one by one or many who are alike at once. `steps`: those of the new version to say how people stand to. */
export class MoveCount {
  #people = 0;
  readonly #moves = new Map<string, MovePreview['moves'][number]>();
  readonly #stays = new Map<string, number>();
  readonly #gains = new Map<string, Count>();
  readonly #losses = new Map<string, Count>();
  readonly #gainers: Count = { people: 0, sure: 0, expected: 0 };
  readonly #losers: Count = { people: 0, sure: 0, expected: 0 };
  readonly #ahead = new Map<string, number>();
  readonly #known = new Map<PreparedSequence, Map<string, Ahead>>();

  readonly #owned: ReadonlySet<string>;

  constructor(
    private readonly steps: readonly string[] = [],
    private readonly owners: readonly StepOwners[] = [],
  ) {
    this.#owned = new Set(owners.map(({ step }) => step));
  }

  add(
    { from, to }: Versions,
    { stepKey, had }: Pick<Standing, 'stepKey' | 'had'>,
    placement: Placement,
    people = 1,
  ): void {
    if (placement.kind === 'stays') {
      this.stay(placement.reason, people);
      return;
    }
    this.#people += people;
    const name = `${stepKey ?? ''} ${placement.stepKey ?? ''}`;
    const move = this.#moves.get(name) ?? { from: stepKey, to: placement.stepKey, people: 0 };
    move.people += people;
    this.#moves.set(name, move);
    const before = this.aheadOf(from, stepKey, had);
    const after = this.aheadOf(to, placement.stepKey, placement.had);
    countNew({ from: before, to: after }, people, { each: this.#gains, all: this.#gainers });
    countNew({ from: after, to: before }, people, { each: this.#losses, all: this.#losers });
    for (const step of this.steps) if (after.steps.has(step)) increase(this.#ahead, step, people);
  }

  /** They stay in their version. `exit_holds`: they have finished, and what ends the sequence holds for them. */
  stay(reason: Extract<Placement, { kind: 'stays' }>['reason'] | 'exit_holds', people = 1): void {
    if (people === 0) return;
    this.#people += people;
    increase(this.#stays, reason, people);
  }

  /** Thousands stand at one step, and the same lies ahead of all who have had the same. */
  private aheadOf(sequence: PreparedSequence, stepKey: string | null, had: Standing['had']): Ahead {
    const known = this.#known.get(sequence) ?? new Map<string, Ahead>();
    this.#known.set(sequence, known);
    const name = `${stepKey ?? ''} ${had === null ? '' : JSON.stringify(had)}`;
    const ahead = known.get(name) ?? aheadAt(sequence, stepKey, { had, owned: this.#owned });
    known.set(name, ahead);
    return ahead;
  }

  result(toVersion: number): MovePreview {
    const list = (counts: ReadonlyMap<string, Count>): StepCount[] =>
      [...counts].map(([step, count]) => ({ step, ...told(count) }));
    return {
      toVersion,
      people: this.#people,
      moves: [...this.#moves.values()],
      stays: [...this.#stays].map(([reason, people]) => ({ reason, people })),
      gains: list(this.#gains),
      losses: list(this.#losses),
      gainers: told(this.#gainers),
      losers: told(this.#losers),
      owners: this.owners.filter(({ step }) => this.#gains.has(step) || this.steps.includes(step)),
    };
  }

  /** Of those who would go to the new version; who stays in theirs stands to none of its steps. */
  standings(): StepStanding[] {
    const going = this.#people - [...this.#stays.values()].reduce((sum, people) => sum + people, 0);
    return this.steps.map((step) => {
      const ahead = this.#ahead.get(step) ?? 0;
      return { step, ahead, past: going - ahead };
    });
  }
}

function aheadAt(
  sequence: PreparedSequence,
  stepKey: string | null,
  { had, owned }: { had: Standing['had']; owned: ReadonlySet<string> },
): Ahead {
  const sure = new Map<string, boolean>();
  const shares = new Map<string, number | null>();
  return {
    mails: new Set(mailsAhead(sequence, stepKey, had)),
    steps: new Set(stepsAhead(sequence, stepKey, had)),
    isSure: (mails) => {
      const name = mails.join(' ');
      const isSure = sure.get(name) ?? isSureOfOne(sequence, stepKey, { had, owned, steps: new Set(mails) });
      sure.set(name, isSure);
      return isSure;
    },
    share: (mails) => {
      const name = mails.join(' ');
      const known = shares.get(name);
      const share =
        known === undefined ? shareOfOne(sequence, stepKey, { had, owned, steps: new Set(mails) }) : known;
      shares.set(name, share);
      return share;
    },
  };
}

/**
 * Adds people to the counts of the mails that lie ahead of them in `to` and not in `from`. A mail that came for some of
 * them in `from` and comes for all in `to` is new for the others, however many they are.
 */
function countNew(
  { from, to }: { from: Ahead; to: Ahead },
  people: number,
  { each, all }: { each: Map<string, Count>; all: Count },
): void {
  const mails = [...to.mails];
  const added = mails.filter((step) => !from.mails.has(step));
  const widened = mails.filter((step) => from.mails.has(step) && to.isSure([step]) && !from.isSure([step]));
  if (added.length + widened.length === 0) return;
  // Who gets one mail more often and another for the first time gets one or more of them by chances that hang together.
  const ofWidened = added.length === 0 ? restOf(from, widened) : null;
  add(all, people, {
    isSure: added.length > 0 && to.isSure(added),
    share: widened.length === 0 ? to.share(added) : ofWidened,
  });
  for (const step of [...added, ...widened]) {
    const count = each.get(step) ?? { people: 0, sure: 0, expected: 0 };
    const isNew = !from.mails.has(step);
    add(count, people, {
      isSure: isNew && to.isSure([step]),
      share: isNew ? to.share([step]) : restOf(from, [step]),
    });
    each.set(step, count);
  }
}

/** Of a mail that comes to all from now on, the part to whom it did not come. Of several at once nobody can say. */
function restOf(from: Ahead, mails: readonly string[]): number | null {
  const share = mails.length === 1 ? from.share(mails) : null;
  return share === null ? null : 1 - share;
}

function add(
  count: Count,
  people: number,
  { isSure, share }: { isSure: boolean; share: number | null },
): void {
  count.people += people;
  if (isSure) count.sure += people;
  const part = isSure ? 1 : share;
  count.expected = count.expected === null || part === null ? null : count.expected + people * part;
}

/** To a tenth of a person; nothing more is to be said where all are sure. */
function told({ people, sure, expected }: Count): PeopleCount {
  if (expected === null || sure === people) return { people, sure };
  return { people, sure, expected: Math.round(expected * 10) / 10 };
}

function increase(counts: Map<string, number>, name: string, by: number): void {
  counts.set(name, (counts.get(name) ?? 0) + by);
}
