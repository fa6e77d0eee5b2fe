import { Inject, Injectable } from '@nestjs/common';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { AlertsService } from '../../infra/alerts/alerts.service.js';
import { LanePools } from './lane-pool.transport.js';
import type { Claim } from '../ledger/ledger.queries.js';
import type { ClaimedMessage, SendOutcome } from '../message/message.js';
import { shownReply } from './breaker.js';
import { DEFAULT_LANES } from './relay-choice.js';
import { RelaysService, type Relay } from './relays.service.js';
import { ParkedLanes } from './parked-lanes.service.js';
import { afterTaken, isRelay, NO_PUT_OFFS, putOffMail, withPutOffs, type PutOffs } from './put-offs.js';
import { SenderStandings } from './sender-standing.js';
import { domainOf } from '../../values/email-address.js';
import {
  isOfSystem,
  isPlainlyOfSystem,
  namesSender,
  provesRelay,
  relayTrouble,
} from '../replies/settlement.js';
import type { SmtpLane } from './smtp-lane.transport.js';

/** About twenty minutes after its first try: greylisting is over by then. */
const TOLD_FROM_ATTEMPT = 4;

/** One mail in a hundred may be put off while the relay works: only those that follow each other are told to all workers. */
const TOLD_FROM_PUT_OFFS = 2;

/** Another process may have said otherwise meanwhile. */
const SAID_AGAIN_MS = 60_000;

/**
 * So many lanes to a relay may wait for a slow reply beside those at work, and no more than half of those; further ones take
 * their place. Of one process, as all numbers of lanes are: two workers have twice as many.
 */
export const MOST_PARKED = 16;

const NONE: ReadonlySet<string> = new Set();

export interface TakenLane {
  lane: SmtpLane;
  relay: Relay;
  /** Its relay has been told on already, when it had kept the mail waiting for half a minute. */
  parked?: true;
}

/** The lanes of one run over all relays. */
export interface LaneSet {
  /** Lanes at work at the same time. After a crash at most this many mails are unknown, and those of parked lanes. */
  readonly size: number;
  /**
   * A lane to a relay that works, to `wanted` where that works and is not stuck; null when no relay works, or each keeps all the
   * lanes it may have waiting.
   */
  take(wanted?: string): Promise<TakenLane | null>;
  /** Of that relay. Without end where mails that are to go by it go by others: it is out or stuck, or keeps too many waiting. */
  lanesTo(relay: string): number;
  /**
   * In place of a lane whose relay cannot take a mail, one to a relay outside of `beyond`, the names of those that cannot.
   * The first is given back before that is waited for, which may be waiting for it. `none`: no relay is left; `later`: what
   * is left does not work at present. With either the lane stays with the caller; with `gone`, which is `later`, it does not.
   */
  another(taken: TakenLane, beyond: ReadonlySet<string>): Promise<TakenLane | 'none' | 'later' | 'gone'>;
  /**
   * Whether the mail after the next may be begun on the same lane without asking `take`: there is one relay alone, and it
   * works as far as is known.
   */
  mayFollow(): Promise<boolean>;
  /** The outcome, with what is known by now of whose trouble it is: the sender's alone, or the relay's. */
  judged(
    taken: TakenLane,
    mail: Pick<ClaimedMessage, 'id' | 'address' | 'templateId' | 'sender'>,
    outcome: SendOutcome,
  ): SendOutcome;
  /** What an outcome says of the relay and of the mail's sender. False: the next mail must ask again which relay works. */
  told(
    taken: TakenLane,
    outcome: SendOutcome,
    mail: Pick<ClaimedMessage, 'sender' | 'attempt' | 'templateId'>,
  ): Promise<boolean>;
  /**
   * The relay keeps the mail of the lane waiting: the run goes on, and may end, without it. `ended` closes the lane, after
   * the ledger has been told. The relay counts as in trouble, so that only so many mails come to hang on it.
   */
  park(taken: TakenLane, claim: Claim, ended: Promise<void>): Promise<void>;
  /** A mail that was begun on it is given up. */
  put(taken: TakenLane): void;
  close(): void;
}

/** Opens lanes to the relays, to each its share, and to none more than it bears. */
@Injectable()
export class SmtpLanes {
  /** See `SmtpLane.losesBegun`. */
  readonly #losingBegun = new Set<string>();
  readonly #standings = new Map<string, SenderStandings>();
  /** What this process has seen since the relay last took a mail of it. */
  readonly #putOffs = new Map<string, PutOffs>();

  /** What was last said to the owner of a sender, by the key of the alert, so that not every mail says it anew. */
  readonly #said = new Map<string, { fine: boolean; atMs: number }>();

  constructor(
    private readonly relays: RelaysService,
    private readonly alerts: AlertsService,
    private readonly parked: ParkedLanes,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * False while no relay works; the owner knows by an alert. Nothing is claimed then: rows taken and given back every
   * two seconds would wear out the table.
   */
  async anyUsable(): Promise<boolean> {
    return this.relays.anyUsable(this.full());
  }

  /** Whether another relay is believed to work, as their states were last read. */
  anyBeside({ name }: Pick<Relay, 'name'>): boolean {
    return this.relays.all().some((other) => other.name !== name && !this.relays.isKnownOut(other.name));
  }

  /** As `RelaysService.templatesToPassOver`. */
  async putOff(): Promise<string[][]> {
    return this.relays.templatesToPassOver();
  }

  /** Relays that keep so many mails waiting that no lane more may be opened to them. */
  private full(): ReadonlySet<string> {
    return new Set(
      this.relays
        .all()
        .filter((relay) => this.room(relay) === 0)
        .map(({ name }) => name),
    );
  }

  private room(relay: Relay): number {
    const lanes = lanesOf(relay);
    return Math.max(0, lanes - Math.max(0, this.parked.count(relay.name) - mostParked(lanes)));
  }

  open(patienceMs?: number): LaneSet {
    const pools = new LanePools((relay) => this.room(relay), patienceMs);
    const put = ({ lane, relay }: TakenLane): void => {
      lane.abandon();
      pools.of(relay).put(lane);
    };
    const forget = this.parked.whenFreed(() => pools.look());
    return {
      size: this.relays.all().reduce((sum, relay) => sum + lanesOf(relay), 0),
      take: async (wanted) => (await this.laneToWanted(wanted, pools)) ?? (await this.laneToAny(NONE, pools)),
      lanesTo: (wanted) => {
        const relay = this.relays.all().find(({ name }) => name === wanted);
        if (relay === undefined || this.relays.isKnownOut(wanted)) return Number.POSITIVE_INFINITY;
        const isAny = this.room(relay) === 0 || pools.stuck().includes(wanted);
        return isAny ? Number.POSITIVE_INFINITY : lanesOf(relay);
      },
      another: async (taken, beyond) => {
        if (this.relays.all().every(({ name }) => beyond.has(name))) return 'none';
        const relay = await this.relays.choose(new Set([...beyond, ...this.full()]));
        if (relay === null) return 'later';
        await this.relays.notTried(taken.relay);
        put(taken);
        return (await this.laneTo(relay, pools)) ?? (await this.laneToAny(beyond, pools)) ?? 'gone';
      },
      mayFollow: async () => {
        const [relay, ...more] = this.relays.all();
        if (!relay || more.length > 0 || this.#losingBegun.has(relay.name)) return false;
        return this.relays.anyWorks();
      },
      judged: ({ relay }, mail, outcome) => this.judged(relay, mail, outcome),
      told: async ({ relay, lane, parked }, outcome, mail) => {
        if (lane.losesBegun) this.#losingBegun.add(relay.name);
        await this.ofSender(relay.name, outcome, mail);
        const trouble = relayTrouble(await this.judgedByAll(relay, outcome));
        // That it waits in vain after ten minutes says nothing about the mails that the relay has taken since.
        if (trouble !== null && parked) return false;
        if (trouble !== null) await this.relays.failed(relay, trouble, reasonOf(outcome));
        else if (provesRelay(outcome)) await this.relays.worked(relay, takenOf(outcome, mail));
        else {
          if (outcome.kind === 'refused') await this.relays.tried(relay);
          await this.relays.notTried(relay);
        }
        return !relay.probe && (trouble === null || (await this.relays.anyWorks()));
      },
      park: async ({ relay, lane }, claim, ended) => {
        const closed = ended.finally(() => lane.close());
        this.parked.add(relay.name, claim, closed);
        try {
          await this.relays.failed(relay, 'stalled', 'no reply to the end of a mail');
        } finally {
          // Not before: whoever has waited for a lane to this relay chooses anew.
          pools.of(relay).leave();
        }
      },
      put,
      close: () => {
        forget();
        pools.close();
      },
    };
  }

  /** The pace of another relay is not kept where this one does not work any more: better too fast for a moment than not at all. */
  private async laneToWanted(wanted: string | undefined, pools: LanePools): Promise<TakenLane | null> {
    for (;;) {
      if (wanted === undefined || this.full().has(wanted) || pools.stuck().includes(wanted)) return null;
      // Where mails of all queues want this one, nothing else would ever try another that is out.
      if (await this.relays.anyIsDueForTry()) return null;
      const others = this.relays.all().filter(({ name }) => name !== wanted);
      const relay = await this.relays.choose(new Set(others.map(({ name }) => name)));
      if (relay === null) return null;
      const taken = await this.laneTo(relay, pools);
      // None where one of its lanes has come to wait for a slow answer, or has got it: the relay works as before.
      if (taken) return taken;
    }
  }

  private async laneToAny(beyond: ReadonlySet<string>, pools: LanePools): Promise<TakenLane | null> {
    for (;;) {
      const not = [...beyond, ...this.full()];
      const stuck = pools.stuck();
      const relay =
        (await this.relays.choose(new Set([...not, ...stuck]))) ??
        (stuck.length > 0 ? await this.relays.choose(new Set(not)) : null);
      if (relay === null) return null;
      const taken = await this.laneTo(relay, pools);
      if (taken) return taken;
    }
  }

  private async laneTo(relay: Relay, pools: LanePools): Promise<TakenLane | null> {
    const lane = await pools.of(relay).take();
    // When the database does not take it, the relay is tried by the next worker after a minute and a half.
    if (lane === null) await this.relays.notTried(relay).catch(() => undefined);
    return lane === null ? null : { relay, lane };
  }

  /**
   * Tells the owner of a sender whose mails alone are put off again and again: nothing else would, until they have expired.
   * No subscriber is to blame, and the relay works.
   */
  private async ofSender(
    relay: string,
    outcome: SendOutcome,
    { sender, attempt }: Pick<ClaimedMessage, 'sender' | 'attempt'>,
  ): Promise<void> {
    const fine = outcome.kind === 'accepted';
    const putOff = outcome.kind === 'refused' && outcome.senderAlone === true && attempt >= TOLD_FROM_ATTEMPT;
    if (!fine && !putOff) return;
    const domain = domainOf(sender.email);
    const key = `sender:${relay}:${domain}`;
    const said = this.#said.get(key);
    if (said?.fine === fine && performance.now() - said.atMs < SAID_AGAIN_MS) return;
    if (fine && this.#standings.get(relay)?.troubles(domain)) return;
    this.#said.set(key, { fine, atMs: performance.now() });
    try {
      if (fine) await this.alerts.resolve(key);
      else
        await this.alerts.raise({
          key,
          severity: 'warning',
          message: `The mail relay ${relay} keeps putting off mails from ${domain}, and takes those of other senders. They are tried again for about a day and then expire; no subscriber is blamed. Ask the relay whether this sender may use it.`,
          facts: { relay, domain, reply: shownReply(reasonOf(outcome)) },
        });
    } catch (error) {
      this.#said.delete(key);
      throw error;
    }
  }

  /** As the outcome, with what other workers have seen of the relay. */
  private async judgedByAll(relay: Relay, outcome: SendOutcome): Promise<SendOutcome> {
    if (outcome.kind !== 'refused') return outcome;
    if (outcome.ofRelay === undefined) {
      await this.forgive(relay.name);
      return outcome;
    }
    const told = this.#putOffs.get(relay.name) ?? NO_PUT_OFFS;
    if (!relay.probe && told.mails.length < TOLD_FROM_PUT_OFFS) return outcome;
    // Whom this process blames, another may have seen taken since.
    const known = await this.relays.addPutOffs(relay, { mails: told.mails, blamed: [] });
    // Others came meanwhile, or one was taken.
    const seen = this.#putOffs.get(relay.name) ?? NO_PUT_OFFS;
    const now = withPutOffs({ mails: [], blamed: known.blamed }, { ...seen, blamed: [] }, this.nowMs());
    this.#putOffs.set(relay.name, now);
    return { ...outcome, ofRelay: outcome.ofRelay || isRelay(known, relay.probe) };
  }

  /** Templates of which another worker has seen a mail taken are blamed no more: what is put off of them says something again. */
  private async forgive(name: string): Promise<void> {
    if ((this.#putOffs.get(name)?.blamed.length ?? 0) === 0) return;
    const blamed = await this.relays.blamed(name);
    const { mails, blamed: before } = this.#putOffs.get(name) ?? NO_PUT_OFFS;
    this.#putOffs.set(name, { mails, blamed: before.filter((one) => blamed.includes(one)) });
  }

  private nowMs(): number {
    return this.clock.now().getTime();
  }

  private judged(
    { name, probe, putOffs }: Relay,
    mail: Pick<ClaimedMessage, 'id' | 'address' | 'templateId' | 'sender'>,
    outcome: SendOutcome,
  ): SendOutcome {
    const standings = this.#standings.get(name) ?? new SenderStandings();
    this.#standings.set(name, standings);
    const own = this.#putOffs.get(name) ?? NO_PUT_OFFS;
    const known = withPutOffs(putOffs ?? NO_PUT_OFFS, own, this.nowMs());
    const { sender } = mail;
    const nowMs = performance.now();
    if (provesRelay(outcome)) {
      standings.taken(sender.email, nowMs);
      this.#putOffs.set(name, afterTaken(known, takenOf(outcome, mail), probe));
    }
    if (outcome.kind !== 'refused') return outcome;
    if (isOfSystem(outcome)) {
      // Of a relay that is out it says nothing either: it stays out, for a pause, and the mail loses no attempt for it.
      if (known.blamed.includes(mail.templateId)) return probe ? { ...outcome, ofRelay: true } : outcome;
      const seen = putOffMail(mail, { plain: isPlainlyOfSystem(outcome), atMs: this.nowMs() });
      const now = withPutOffs(known, { mails: [seen], blamed: [] }, this.nowMs());
      this.#putOffs.set(name, now);
      return { ...outcome, ofRelay: isRelay(now, probe) };
    }
    const named = namesSender(outcome);
    if (named === null) return outcome;
    return { ...outcome, senderAlone: standings.refused(sender.email, { named, nowMs }) };
  }
}

function takenOf(outcome: SendOutcome, { templateId }: Pick<ClaimedMessage, 'templateId'>): string | null {
  return outcome.kind === 'accepted' ? templateId : null;
}

function lanesOf({ lanes }: Relay): number {
  return lanes ?? DEFAULT_LANES;
}

function mostParked(lanes: number): number {
  return Math.min(MOST_PARKED, Math.ceil(lanes / 2));
}

function reasonOf(outcome: SendOutcome): string {
  if (outcome.kind === 'refused') return outcome.reply;
  return 'reason' in outcome ? outcome.reason : outcome.kind;
}
