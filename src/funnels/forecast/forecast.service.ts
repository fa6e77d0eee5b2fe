import { Inject, Injectable } from '@nestjs/common';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { FrequencyCapService } from '../../delivery/pacing/frequency-cap.service.js';
import { SequencePauses } from '../../delivery/waiting/sequence-pauses.service.js';
import { UPSELL_MS } from '../../orders/order-token.js';
import type { RunningVersion } from '../../sequences/advance/advance-batch.js';
import { prepareSequence } from '../../sequences/steps/prepared.js';
import type { VirtualFunnels, VirtualOffer } from '../simulation/virtual-sequences.js';
import {
  BUYS,
  BUYS_WITH_BUMP,
  CLOSES,
  DECLINES,
  drawnWays,
  LEAVES,
  mailParting,
  STAYS,
  stepsAsked,
  TAKES,
  upsellName,
  wayName,
  withoutQuestions,
} from './choices.js';
import { arrivingAt, type Entrance } from './arriving.js';
import type { Measured } from './beliefs.js';
import {
  ForecastQueries,
  type MailCount,
  type OfferRow,
  type SignUpRow,
  type VersionRow,
} from './forecast.queries.js';
import { hasWeekdays, totalOf } from './newcomers.js';
import { productsAsked } from './ownership.js';
import { mergedStands, type Stand } from './groups.js';
import { outlook, withWaiting, type Forecast } from './outlook.js';
import { pathsFrom } from './paths.js';
import { DAY_MS } from '../../values/time-units.js';

/** Older measurements are of another time. */
const MEASURED_DAYS = 365;
/** A mail tells nothing before people have had time to buy or leave. */
const SETTLED_DAYS = 3;
const MOST_GROUPS = 150;
/** Whole weeks. People come at another rate than they did long ago. */
const SIGN_UP_DAYS = 28;
/** Any; it is the same for every forecast, so that nothing moves but by what has happened. */
const SEED = 20_260_101;

/** For people: what is not in a forecast, and why. */
const LEAVES_OUT: readonly { what: string; why: string }[] = [
  {
    what: 'imports to come',
    why: 'an import is done once and says nothing of the next; the people it brought count as soon as they are in a sequence',
  },
  {
    what: 'people who are enrolled by the API, a tag or a purchase from now on',
    why: 'only sign-ups by forms come often enough at a rate of their own; who moves on by a step of a sequence is in it',
  },
  {
    what: 'broadcasts that have not begun, and the rest of a split test',
    why: 'the owner may still change them; mails that are written already are in it',
  },
  {
    what: 'mails that ask for a confirmation',
    why: 'newcomers are counted by those who have confirmed',
  },
  {
    what: 'purchases that no mail of a sequence led to',
    why: 'a forecast follows people from mail to mail',
  },
  {
    what: 'the other arms of split tests of mails',
    why: 'everybody is counted with the first arm until the test is over and after it; an arm with another delay or hour moves its mail by that',
  },
  {
    what: 'what the frequency cap holds back for mails that came before, and for those of other sequences and broadcasts',
    why: 'people are followed in one sequence at a time, and there the cap counts as it does when mails go',
  },
  {
    what: 'what people own who have not signed up yet',
    why: 'nobody knows who they are; those who are in a sequence are not offered again what they own',
  },
  {
    what: 'refunds, fees, commissions and renewals',
    why: 'the income is what people pay by the mails and on the pages that follow the order',
  },
];

/**
 * Mails a day and income from the people who are in sequences now, and apart from them from those who are expected to
 * sign up: as many a day as have confirmed a sign-up in the last four weeks, or since the sequence is there. `LEAVES_OUT`
 * says what is not in it. Everybody walks on
 * from where they are by the code of the real run, on every way that is not too rare; where ways part, as many take each
 * as were measured here in the last year (`outlook` says how the band comes about), and what is asked of earlier steps is
 * answered by the way that led there; offers pass over who owns what they sell. Leaving a sequence by a tag or an
 * event counts as leaving after the last mail; a person is taken to buy a day after the mail of an offer, and to answer at
 * once what is offered after the order. A split into
 * paths parts people as it draws them now; in a split test of mails all get the control. Steps that wait for a date in a
 * field are taken to come at once for those who do not stand there yet.
 */
@Injectable()
export class ForecastService {
  constructor(
    private readonly queries: ForecastQueries,
    private readonly cap: FrequencyCapService,
    private readonly pauses: SequencePauses,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** `level`: how often the truth is to lie in the bands, such as 0.8. */
  async forecast({ days, level }: { days: number; level: number }): Promise<Forecast> {
    const now = this.clock.now();
    const today = Math.floor(now.getTime() / DAY_MS);
    const versions = await this.queries.versions();
    const sequences = new Map(versions.map((version) => [versionName(version.id), version.sequence]));
    const offers = await this.queries.offers();
    const paused = new Set((await this.pauses.all()).map(({ funnelKey }) => funnelKey));
    const until = new Date((today + days) * DAY_MS);
    const asked = { steps: askedIn(versions), products: productsAsked(versions, offers), now, until };
    const stands = (await this.queries.stands(asked)).map(({ versionId, ...stand }): Stand => ({
      ...stand,
      version: versionName(versionId),
      sequence: sequences.get(versionName(versionId)) ?? '',
    }));
    const { measured, basis } = await this.measure(now);
    const question = {
      funnels: funnelsOf(versions, offers),
      ...{ sequences, measured, from: now, until },
      ...{ cap: await this.cap.read(), paused },
    };
    const entrances = entrancesOf(
      await this.queries.signUps(new Date((today - SIGN_UP_DAYS) * DAY_MS)),
      today,
    );
    const groups = mergedStands(stands, MOST_GROUPS).map((stand) => ({
      count: stand.count,
      paths: pathsFrom(question, stand),
    }));
    const dayOf = (at: Date): number => Math.floor(at.getTime() / DAY_MS) - today;
    const waiting = await this.waiting(today, days);
    const seen = outlook(
      groups,
      { measured, days, dayOf, level, seed: SEED },
      arrivingAt(entrances, question),
    );
    return {
      ...{ ...seen, inAll: withWaiting(seen.inAll, waiting), waiting },
      signUps: {
        people: entrances.reduce((total, { history }) => total + totalOf(history), 0),
        days: SIGN_UP_DAYS,
        byWeekday: entrances.some(({ history }) => hasWeekdays(history)),
      },
      dates: Array.from({ length: days }, (_, day) =>
        new Date((today + day) * DAY_MS).toISOString().slice(0, 10),
      ),
      leavesOut: [...pausedOut(paused), ...LEAVES_OUT],
      people: stands.reduce((total, { count }) => total + count, 0),
      basis,
    };
  }

  /** How often people went each way, left, bought and took what was offered after it. */
  private async measure(now: Date): Promise<{ measured: Measured; basis: Forecast['basis'] }> {
    const since = new Date(now.getTime() - MEASURED_DAYS * DAY_MS);
    const mails = await this.queries.mails(since, new Date(now.getTime() - SETTLED_DAYS * DAY_MS));
    const measured = measuredShares(mails, await this.queries.ways(since));
    const upsells = await this.queries.upsells(since, new Date(now.getTime() - UPSELL_MS));
    for (const { offer, shown, taken, declined } of upsells)
      measured.set(
        upsellName(offer),
        new Map([
          [CLOSES, shown - taken - declined],
          [DECLINES, declined],
          [TAKES, taken],
        ]),
      );
    for (const split of await this.queries.pathShares())
      measured.set(wayName(split.sequence, split.step), drawnWays(split));
    const sum = (of: (count: MailCount) => number): number =>
      mails.reduce((total, one) => total + of(one), 0);
    const basis = {
      mails: sum(({ sent }) => sent),
      purchases: sum(({ bought, boughtWithBump }) => bought + boughtWithBump),
      left: sum(({ left }) => left),
      upsellsShown: upsells.reduce((total, { shown }) => total + shown, 0),
      upsellsTaken: upsells.reduce((total, { taken }) => total + taken, 0),
      days: MEASURED_DAYS,
    };
    return { measured, basis };
  }

  /** By the days from `today` on. */
  private async waiting(today: number, days: number): Promise<number[]> {
    const written = await this.queries.waiting(today);
    return Array.from(
      { length: days },
      (_, day) => written.find((one) => one.day === today + day)?.count ?? 0,
    );
  }
}

function pausedOut(paused: ReadonlySet<string>): typeof LEAVES_OUT {
  if (paused.size === 0) return [];
  const what = `mails of ${[...paused].join(', ')}, and what would be bought by them`;
  const why = 'these sequences are paused: their people stay where they are until you let the mails go on';
  return [{ what, why }];
}

/** Where people have come in by sign-ups, from the day on which the sequence was made, up to yesterday. */
function entrancesOf(rows: readonly SignUpRow[], today: number): Entrance[] {
  const entrances = new Map<string, Entrance & { history: { counts: Map<number, number> } }>();
  for (const { sequence, versionId, since, day, count } of rows) {
    const first = Math.max(today - SIGN_UP_DAYS, Math.floor(since.getTime() / DAY_MS));
    const own = entrances.get(sequence) ?? {
      ...{ version: versionName(versionId), sequence },
      history: { first, end: today, counts: new Map<number, number>() },
    };
    if (day !== null) own.history.counts.set(day, (own.history.counts.get(day) ?? 0) + count);
    entrances.set(sequence, own);
  }
  return [...entrances.values()];
}

/** The versions whose conditions ask for earlier steps, and those steps. */
function askedIn(versions: readonly VersionRow[]): { versionIds: string[]; steps: string[] } {
  const asking = versions.map(({ id, definition }) => ({ id, steps: stepsAsked(definition) }));
  return {
    versionIds: asking.filter(({ steps }) => steps.length > 0).map(({ id }) => id),
    steps: [...new Set(asking.flatMap(({ steps }) => steps))],
  };
}

/** Never the key of a sequence, which has no colon. */
function versionName(id: string): string {
  return `v:${id}`;
}

/** Each version by its name, and the current one by the key of the sequence, which is where steps move people. */
function funnelsOf(versions: readonly VersionRow[], offers: readonly OfferRow[]): VirtualFunnels {
  const running = new Map<string, RunningVersion>();
  for (const version of versions) {
    const one = runningOf(version);
    running.set(versionName(version.id), one);
    if (version.isCurrent) running.set(version.sequence, one);
  }
  return {
    versions: running,
    offers: new Map(offers.map((offer) => [offer.slug, virtualOffer(offer)])),
    // What people pay is asked, not who gets a share of it.
    terms: new Map(),
    form: { funnel: '', optIn: 'single' },
  };
}

function runningOf({ sequence, definition }: VersionRow): RunningVersion {
  return {
    // Which mails ask to renew is told by the dates that they wait for, which are taken out.
    sequence: {
      ...prepareSequence(withoutQuestions(definition)),
      renewals: prepareSequence(definition).renewals,
    },
    funnelKey: sequence,
    sender: { name: '', email: '', postalAddress: '' },
    offers: new Map(),
  };
}

function virtualOffer(offer: OfferRow): VirtualOffer {
  const { slug, productKey, amountMinor, currency, discountBps, personalDeadline, bumpKey, bumpAmountMinor } =
    offer;
  return {
    ...{ slug, discountBps, personalDeadline, funnel: '', upsell: offer.upsell, downsell: offer.downsell },
    // The forecast asks how many buy, not what they are then: no condition of it is about a membership.
    product: { key: productKey, price: { amountMinor, currency }, membership: null },
    bump:
      bumpKey === null || bumpAmountMinor === null
        ? null
        : { key: bumpKey, price: { amountMinor: bumpAmountMinor, currency }, membership: null },
  };
}

function measuredShares(
  mails: readonly MailCount[],
  ways: readonly { sequence: string; step: string; outcome: string; count: number }[],
): Map<string, ReadonlyMap<string, number>> {
  const measured = new Map<string, Map<string, number>>();
  for (const { sequence, step, sent, left, bought, boughtWithBump } of mails) {
    const { name } = mailParting(sequence, step, true);
    const stayed = sent - left - bought - boughtWithBump;
    measured.set(
      name,
      new Map([
        [STAYS, stayed],
        [LEAVES, left],
        [BUYS, bought],
        [BUYS_WITH_BUMP, boughtWithBump],
      ]),
    );
  }
  for (const { sequence, step, outcome, count } of ways) {
    const name = wayName(sequence, step);
    const own = measured.get(name) ?? new Map<string, number>();
    measured.set(name, own.set(outcome, count));
  }
  return measured;
}
