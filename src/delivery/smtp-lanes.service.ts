import { Injectable } from '@nestjs/common';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import type { ClaimedMessage, SendOutcome } from './message.js';
import { withoutAddresses } from './pacing/breaker.js';
import { RelaysService, type Relay } from './pacing/relays.service.js';
import { domainOf, SenderStandings } from './sender-standing.js';
import { namesSender, provesRelay, relayTrouble } from './settlement.js';
import { SmtpLane } from './smtp-lane.transport.js';

/** About twenty minutes after its first try: greylisting is over by then. */
const TOLD_FROM_ATTEMPT = 4;

/** Another process may have said otherwise meanwhile. */
const SAID_AGAIN_MS = 60_000;

/** Connections to a relay at the same time unless SMTP_URL says otherwise. */
export const DEFAULT_LANES = 32;

interface RelayLanes {
  free: SmtpLane[];
  open: number;
  waiting: ((lane: SmtpLane) => void)[];
}

export interface TakenLane {
  lane: SmtpLane;
  relay: Relay;
}

/** The lanes of one run over all relays. */
export interface LaneSet {
  /** Mails that may be on the way at the same time; after a crash at most this many are unknown. */
  readonly size: number;
  /** A lane to a relay that works; null when no relay works. */
  take(): Promise<TakenLane | null>;
  /**
   * In place of a lane whose relay cannot take a mail, one to a relay outside of `beyond`, the names of those that cannot.
   * The first is given back before that is waited for, which may be waiting for it. `none`: no relay is left; `later`: what
   * is left does not work at present. With either the lane stays with the caller.
   */
  another(taken: TakenLane, beyond: ReadonlySet<string>): Promise<TakenLane | 'none' | 'later'>;
  /**
   * Whether the mail after the next may be begun on the same lane without asking `take`: there is one relay alone, and it
   * works as far as is known.
   */
  mayFollow(): Promise<boolean>;
  /** The outcome, with what is known by now of whose trouble it is: the sender's alone, or the relay's. */
  judged(taken: TakenLane, sender: string, outcome: SendOutcome): SendOutcome;
  /** What an outcome says of the relay and of the mail's sender. False: the next mail must ask again which relay works. */
  told(
    taken: TakenLane,
    outcome: SendOutcome,
    mail: Pick<ClaimedMessage, 'sender' | 'attempt'>,
  ): Promise<boolean>;
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

  /** What was last said to the owner of a sender, by the key of the alert, so that not every mail says it anew. */
  readonly #said = new Map<string, { fine: boolean; atMs: number }>();

  constructor(
    private readonly relays: RelaysService,
    private readonly alerts: AlertsService,
  ) {}

  /**
   * False while no relay works; the owner knows by an alert. Nothing is claimed then: rows taken and given back every
   * two seconds would wear out the table.
   */
  async anyUsable(): Promise<boolean> {
    return this.relays.anyUsable();
  }

  open(): LaneSet {
    const byRelay = new Map<string, RelayLanes>();
    const put = ({ lane, relay }: TakenLane): void => {
      lane.abandon();
      const lanes = byRelay.get(relay.name);
      const next = lanes?.waiting.shift();
      if (next) next(lane);
      else lanes?.free.push(lane);
    };
    return {
      size: this.relays.all().reduce((sum, relay) => sum + lanesOf(relay), 0),
      take: async () => {
        const relay = await this.relays.choose();
        return relay === null ? null : { relay, lane: await laneTo(relay, byRelay) };
      },
      another: async (taken, beyond) => {
        if (this.relays.all().every(({ name }) => beyond.has(name))) return 'none';
        const relay = await this.relays.choose(beyond);
        if (relay === null) return 'later';
        await this.relays.notTried(taken.relay);
        put(taken);
        return { relay, lane: await laneTo(relay, byRelay) };
      },
      mayFollow: async () => {
        const [relay, ...more] = this.relays.all();
        if (!relay || more.length > 0 || this.#losingBegun.has(relay.name)) return false;
        return this.relays.anyWorks();
      },
      judged: ({ relay }, sender, outcome) => this.judged(relay.name, sender, outcome),
      told: async ({ relay, lane }, outcome, mail) => {
        if (lane.losesBegun) this.#losingBegun.add(relay.name);
        await this.ofSender(relay.name, outcome, mail);
        const trouble = relayTrouble(outcome);
        if (trouble !== null) await this.relays.failed(relay, trouble, reasonOf(outcome));
        else if (provesRelay(outcome)) await this.relays.worked(relay);
        else await this.relays.notTried(relay);
        return !relay.probe && (trouble === null || (await this.relays.anyWorks()));
      },
      put,
      close: () => {
        for (const { free } of byRelay.values()) for (const lane of free) lane.close();
      },
    };
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
          facts: { relay, domain, reply: withoutAddresses(reasonOf(outcome)) },
        });
    } catch (error) {
      this.#said.delete(key);
      throw error;
    }
  }

  private judged(relay: string, sender: string, outcome: SendOutcome): SendOutcome {
    const standings = this.#standings.get(relay) ?? new SenderStandings();
    this.#standings.set(relay, standings);
    const nowMs = performance.now();
    if (provesRelay(outcome)) standings.taken(sender, nowMs);
    const named = namesSender(outcome);
    if (named === null || outcome.kind !== 'refused') return outcome;
    return { ...outcome, senderAlone: standings.refused(sender, { named, nowMs }) };
  }
}

async function laneTo(relay: Relay, byRelay: Map<string, RelayLanes>): Promise<SmtpLane> {
  const lanes = byRelay.get(relay.name) ?? { free: [], open: 0, waiting: [] };
  byRelay.set(relay.name, lanes);
  // The one used last is still warm; the others may have been closed by the relay meanwhile.
  const free = lanes.free.pop();
  if (free) return free;
  if (lanes.open < lanesOf(relay)) {
    lanes.open++;
    return new SmtpLane(relay.name, relay.url, relay.provider);
  }
  return new Promise((resolve) => lanes.waiting.push(resolve));
}

function lanesOf({ lanes }: Relay): number {
  return lanes ?? DEFAULT_LANES;
}

function reasonOf(outcome: SendOutcome): string {
  if (outcome.kind === 'refused') return outcome.reply;
  return 'reason' in outcome ? outcome.reason : outcome.kind;
}
