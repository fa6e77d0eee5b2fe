import { mailsAhead, stepsAhead, type Placement, type Standing, type Versions } from './placement.js';
import type { PreparedSequence } from './prepared.js';

/** Who would get what. */
export interface MovePreview {
  toVersion: number;
  /** People in earlier versions. */
  people: number;
  /** From step to step; null is the end of the sequence. */
  moves: { from: string | null; to: string | null; people: number }[];
  stays: { reason: string; people: number }[];
  /** Mails that come to people who would not get them in their version, and the other way round. */
  gains: { step: string; people: number }[];
  losses: { step: string; people: number }[];
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
}

/** Adds up where people would go, one by one or many who are alike at once. `steps`: those of the new version to say how people stand to. */
export class MoveCount {
  #people = 0;
  readonly #moves = new Map<string, MovePreview['moves'][number]>();
  readonly #stays = new Map<string, number>();
  readonly #gains = new Map<string, number>();
  readonly #losses = new Map<string, number>();
  readonly #ahead = new Map<string, number>();
  readonly #known = new Map<PreparedSequence, Map<string, Ahead>>();

  constructor(private readonly steps: readonly string[] = []) {}

  add(
    { from, to }: Versions,
    { stepKey, had }: Pick<Standing, 'stepKey' | 'had'>,
    placement: Placement,
    people = 1,
  ): void {
    this.#people += people;
    if (placement.kind === 'stays') {
      increase(this.#stays, placement.reason, people);
      return;
    }
    const name = `${stepKey ?? ''} ${placement.stepKey ?? ''}`;
    const move = this.#moves.get(name) ?? { from: stepKey, to: placement.stepKey, people: 0 };
    move.people += people;
    this.#moves.set(name, move);
    const before = this.aheadOf(from, stepKey, had);
    const after = this.aheadOf(to, placement.stepKey, placement.had);
    for (const step of after.mails) if (!before.mails.has(step)) increase(this.#gains, step, people);
    for (const step of before.mails) if (!after.mails.has(step)) increase(this.#losses, step, people);
    for (const step of this.steps) if (after.steps.has(step)) increase(this.#ahead, step, people);
  }

  /** Thousands stand at one step, and the same lies ahead of all who have had the same. */
  private aheadOf(sequence: PreparedSequence, stepKey: string | null, had: Standing['had']): Ahead {
    const known = this.#known.get(sequence) ?? new Map<string, Ahead>();
    this.#known.set(sequence, known);
    const name = `${stepKey ?? ''} ${had === null ? '' : JSON.stringify(had)}`;
    const ahead = known.get(name) ?? {
      mails: new Set(mailsAhead(sequence, stepKey, had)),
      steps: new Set(stepsAhead(sequence, stepKey, had)),
    };
    known.set(name, ahead);
    return ahead;
  }

  result(toVersion: number): MovePreview {
    const list = (counts: ReadonlyMap<string, number>): { step: string; people: number }[] =>
      [...counts].map(([step, people]) => ({ step, people }));
    return {
      toVersion,
      people: this.#people,
      moves: [...this.#moves.values()],
      stays: [...this.#stays].map(([reason, people]) => ({ reason, people })),
      gains: list(this.#gains),
      losses: list(this.#losses),
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

function increase(counts: Map<string, number>, name: string, by: number): void {
  counts.set(name, (counts.get(name) ?? 0) + by);
}
