import type { FrequencyCap } from '../../delivery/pacing/frequency-cap.js';
import { boughtTag } from '../../sequences/steps/condition.js';
import { durationMs } from '../../values/duration.js';
import type { Money } from '../../values/money.js';
import { advanceVirtual } from '../simulation/virtual-advance.js';
import { leaveAll, lookAgain } from '../simulation/virtual-reactions.js';
import { activeOf, emptyRecord, type VirtualMail, type VirtualOrder } from '../simulation/virtual-record.js';
import type { VirtualRun } from '../simulation/virtual-run.js';
import { nextMailAt, sendVirtual } from '../simulation/virtual-sending.js';
import { nodeOf, type VirtualFunnels } from '../simulation/virtual-sequences.js';
import { buy } from '../simulation/virtual-shop.js';
import { answerUpsell, showNext } from '../simulation/virtual-upsells.js';
import { Agenda, earliest } from '../simulation/agenda.js';
import { belief, expectedShares, type Measured } from './beliefs.js';
import {
  BUYS_WITH_BUMP,
  CLOSES,
  isParting,
  LEAVES,
  mailParting,
  STAYS,
  TAKES,
  upsellParting,
  wayOf,
  wayParting,
  type Parting,
} from './choices.js';
import { HOUR_MS } from '../../values/time-units.js';

/** People who stand at one place: of one version of a sequence, on one clock, with one time for their next step. */
export interface Standing {
  /** Names the version among the funnels. */
  version: string;
  /** For what was measured, which versions share. */
  sequence: string;
  stepKey: string;
  nextAt: Date;
  waitUntil: Date | null;
  timeZone: string | null;
  /** As JSON, steps that do not come again as an earlier version had them, with their outcomes; null: none. */
  had: string | null;
  /** As JSON, what came of the earlier steps that are asked for ahead; null: nothing is asked for. */
  done: string | null;
  /** As JSON, the products that they own, of those it matters for, with when that ends; null: none. */
  owns: string | null;
}

/** An option that was taken at a parting. */
export interface Choice {
  parting: Parting;
  option: number;
}

/** One way that people of a standing may go. */
export interface ForecastPath {
  choices: Choice[];
  mails: Date[];
  income: (Money & { at: Date })[];
}

export interface PathQuestion {
  funnels: VirtualFunnels;
  /** The sequence of each version, for what was measured. */
  sequences: ReadonlyMap<string, string>;
  measured: Measured;
  /** How many mails one person gets; null: as many as come. */
  cap?: FrequencyCap | null;
  /** Keys of sequences whose mails wait for the owner's word: their people stand still. */
  paused?: ReadonlySet<string>;
  from: Date;
  until: Date;
}

/** Rarer ones are left out; their share goes to the others. */
const LEAST_PROBABILITY = 1e-4;
const MOST_PATHS = 300;
/** How long after the mail, where the day is all that counts. */
const LEAVES_AFTER_MS = 12 * HOUR_MS;
const BUYS_AFTER_MS = 24 * HOUR_MS;
const LONGEST_ANSWER_MS = 24 * HOUR_MS;

/**
 * All ways on from a standing that are not too rare, each walked by the code of real sequences: first the likeliest, then
 * each with one choice changed, and so on. No two make the same choices.
 */
export function pathsFrom(question: PathQuestion, standing: Standing): ForecastPath[] {
  const waiting: { prefix: Choice[]; probability: number }[] = [{ prefix: [], probability: 1 }];
  const paths: ForecastPath[] = [];
  for (let next = waiting.pop(); next !== undefined && paths.length < MOST_PATHS; next = waiting.pop()) {
    const path = walk(question, standing, next.prefix);
    paths.push(path);
    let probability = 1;
    for (const [place, choice] of path.choices.entries()) {
      const shares = expectedShares(belief(choice.parting, question.measured));
      if (place >= next.prefix.length) {
        for (const [option, share] of shares.entries()) {
          const changed = probability * share;
          if (option === choice.option || changed < LEAST_PROBABILITY) continue;
          const prefix = [...path.choices.slice(0, place), { parting: choice.parting, option }];
          waiting.push({ prefix, probability: changed });
        }
      }
      probability *= shares[choice.option] ?? 0;
    }
    waiting.sort((a, b) => a.probability - b.probability);
  }
  return paths;
}

/** Follows the given choices as far as they go, then always the likeliest option. */
function walk(question: PathQuestion, standing: Standing, prefix: readonly Choice[]): ForecastPath {
  const { funnels, measured, until } = question;
  const path: ForecastPath = { choices: [], mails: [], income: [] };
  const given = new Map(prefix.map(({ parting, option }) => [parting.name, option]));
  const optionAt = (parting: Parting): number => given.get(parting.name) ?? likeliest(parting, measured);
  const visit = (parting: Parting): number => {
    const option = optionAt(parting);
    if (!path.choices.some((choice) => choice.parting.name === parting.name))
      path.choices.push({ parting, option });
    return option;
  };
  const agenda = new Agenda();
  /** Waits for an answer that has come. */
  const answered = new Set<string>();
  const parting = (version: string, step: string): Parting | null => {
    const node = nodeOf(funnels, version, step);
    return node && isParting(node) ? wayParting(question.sequences.get(version) ?? version, node) : null;
  };
  const run: VirtualRun = {
    funnels,
    record: recordOf(standing),
    toldWaits: new Map(),
    tell: (at, happening) => {
      if (happening.what === 'bought') path.income.push({ ...happening.total, at });
      if (happening.what !== 'step' && happening.what !== 'waits') return;
      const here = parting(happening.sequence, happening.step);
      if (here === null) return;
      visit(here);
      if (happening.what === 'waits' && !answered.has(here.name)) {
        const answerAt = new Date(at.getTime() + answerMs(run, happening.sequence, happening.step));
        agenda.add(answerAt, () => {
          answered.add(here.name);
          lookAgain(run, answerAt);
        });
      }
    },
    decide: ({ sequence }, event) => {
      const asked = wayOf(event);
      const here = asked === null ? null : parting(sequence, asked.step);
      if (asked === null || here === null || optionAt(here) !== asked.way) return false;
      return answered.has(here.name) || !waits(run, sequence, asked.step);
    },
  };
  agenda.add(standing.nextAt < question.from ? question.from : standing.nextAt, () => undefined);
  for (;;) {
    const now = earliest([
      agenda.nextAt(),
      ...activeOf(run.record).map(({ nextAt }) => nextAt),
      nextMailAt(run),
    ]);
    if (now === null || now >= until) return path;
    agenda.doAll(now);
    holdPaused(question, run);
    advanceVirtual(run, now);
    holdPaused(question, run);
    for (const mail of sendVirtual(run, now, question.cap ?? null)) {
      path.mails.push(now);
      if (mail.kind === 'sequence') afterMail(question, run, { mail, now, agenda, visit });
    }
  }
}

/** Until nobody knows when: nothing of it comes in the time that is looked at. */
function holdPaused({ sequences, paused, until }: PathQuestion, { record }: VirtualRun): void {
  if (paused === undefined || paused.size === 0) return;
  for (const place of activeOf(record))
    if (paused.has(sequences.get(place.sequence) ?? place.sequence)) place.nextAt = until;
  for (const mail of record.mails) {
    const version = mail.sequence ?? '';
    if (mail.state === 'ready' && paused.has(sequences.get(version) ?? version)) mail.state = 'held';
  }
}

function afterMail(
  { sequences }: PathQuestion,
  run: VirtualRun,
  {
    mail,
    now,
    agenda,
    visit,
  }: { mail: VirtualMail; now: Date; agenda: Agenda; visit: (parting: Parting) => number },
): void {
  const [version, step] = [mail.sequence ?? '', mail.step ?? ''];
  const node = nodeOf(run.funnels, version, step);
  const offer =
    node?.kind === 'offer' && node.offer !== null ? run.funnels.offers.get(node.offer.slug) : undefined;
  const here = mailParting(sequences.get(version) ?? version, step, offer !== undefined);
  const option = here.options[visit(here)];
  if (option === LEAVES) {
    const at = new Date(now.getTime() + LEAVES_AFTER_MS);
    agenda.add(at, () => {
      run.record.status = 'unsubscribed';
      leaveAll(run, 'unsubscribed', at);
    });
  } else if (option !== STAYS && offer !== undefined) {
    const at = new Date(now.getTime() + BUYS_AFTER_MS);
    agenda.add(at, () => {
      const root = buy(run, offer, at, { withBump: option === BUYS_WITH_BUMP });
      answerAll(run, { root, visit }, at);
    });
  }
}

/** What is shown after an order is answered at once: the day is all that counts. */
function answerAll(
  run: VirtualRun,
  { root, visit }: { root: VirtualOrder; visit: (parting: Parting) => number },
  now: Date,
): void {
  for (let upsell = showNext(run, root, now); upsell !== null; upsell = showNext(run, root, now)) {
    const here = upsellParting(upsell.slug);
    const option = here.options[visit(here)];
    if (option === CLOSES) return;
    answerUpsell(run, { root, upsell, takes: option === TAKES }, now);
  }
}

function recordOf({
  version,
  stepKey,
  nextAt,
  waitUntil,
  timeZone,
  had,
  done,
  owns,
}: Standing): VirtualRun['record'] {
  const record = emptyRecord({ personId: '', timeZone, status: 'active' });
  record.enrollments.push({
    ...{
      id: '1',
      sequence: version,
      occurrence: 1,
      status: 'active',
      exitReason: null,
      stepKey,
      nextAt,
      waitUntil,
    },
    ...{ watches: null, startedAt: nextAt, endedAt: null, entryKey: undefined, had },
  });
  if (done !== null)
    record.outcomes.set('1', new Map(Object.entries(JSON.parse(done) as Record<string, string>)));
  for (const [product, endsAt] of Object.entries(JSON.parse(owns ?? '{}') as Record<string, string | null>)) {
    record.tags.add(boughtTag(product));
    if (endsAt === null) continue;
    const now = { state: 'active' as const, startsAt: nextAt, endsAt: new Date(endsAt) };
    record.memberships.set(product, { now, changes: [] });
  }
  return record;
}

function likeliest(parting: Parting, measured: Measured): number {
  const alphas = belief(parting, measured);
  return alphas.indexOf(Math.max(...alphas));
}

/** Whether the step waits for what it asks about. */
function waits(run: VirtualRun, version: string, step: string): boolean {
  const node = nodeOf(run.funnels, version, step);
  return node?.kind === 'choice' && node.within !== null;
}

/** Half of the time that the step waits, a day at most. */
function answerMs(run: VirtualRun, version: string, step: string): number {
  const node = nodeOf(run.funnels, version, step);
  const withinMs = node?.kind === 'choice' && node.within !== null ? durationMs(node.within) : 0;
  return Math.min(withinMs / 2, LONGEST_ANSWER_MS);
}
