import { Inject, Injectable, Logger } from '@nestjs/common';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { BroadcastGuard } from '../guards/broadcast-guard.service.js';
import { anyPlace, oneOfEach, placesWanted } from '../ledger/due-places.js';
import { passing } from '../ledger/fault-points.js';
import { GenerationGuard } from '../generation/generation-guard.service.js';
import { LedgerClaims } from './ledger-claims.service.js';
import type { Claimed, ClaimedMessage, SendOutcome } from '../message/message.js';
import { OverdueService } from '../waiting/overdue.service.js';
import { PacingService } from '../pacing/pacing.service.js';
import type { Allowed, Crowded } from '../pacing/relay-shares.js';
import { domainOf } from '../../values/email-address.js';
import { blamesSender, isOfRecipient } from '../replies/settlement.js';

/** As long as a lease. A claim may be committed after its connection was lost; later, the reaper takes up what it took. */
const LOST_FOR_MS = 300_000;

/**
 * Where others were faster at all that came first, there may be more behind it: looked at again in a moment, when theirs is
 * claimed, and so many times in a row, as somebody may also hold such a mail for long.
 */
const FASTER_OTHERS_MS = 50;
const LOOKS_AGAIN = 3;

/** A claim whose answer never came. It may have been committed. */
interface LostClaim {
  owner: string;
  atMs: number;
}

/** Nothing of the mail has crossed the wire: its pace is another's. */
const NOT_TRIED: ReadonlySet<SendOutcome['kind']> = new Set(['held_back', 'not_sent', 'unsendable', 'unfit']);

/** Which messages may go now: the right database, in time, at the pace that was set or that receivers bear. */
@Injectable()
export class DueMessages {
  readonly #logger = new Logger(DueMessages.name);
  #claims = 0;
  #lost: LostClaim[] = [];
  #emptyInARow = 0;

  constructor(
    private readonly claims: LedgerClaims,
    private readonly pacing: PacingService,
    private readonly overdue: OverdueService,
    private readonly guard: GenerationGuard,
    private readonly broadcasts: BroadcastGuard,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * To be asked before each run. False while this may be a copy of the database or a restored backup; log and alert say why.
   */
  async maySend(): Promise<boolean> {
    if ((await this.guard.maySend(this.claims.witness)) !== true) return false;
    await this.giveBackLost();
    return true;
  }

  /**
   * `owner`: the process. `putOff`: templates whose mails are passed over; then one other mail at most. `crowded`: nothing more
   * is taken for those relays.
   */
  async claim(
    owner: string,
    limit: number,
    putOff: readonly string[] = [],
    crowded?: Crowded,
  ): Promise<Claimed> {
    const fence = await this.guard.fence(this.claims.witness);
    if (fence === null) return { taken: 0, messages: [], waitMs: null };
    const now = this.clock.now();
    // First, also when nothing is due or allowed: its being asked is what tells sending from an outage.
    const overdue = await this.overdue.parameters();
    const places = await this.claims.duePlaces(now, limit);
    if (places.length === 0) {
      this.#emptyInARow = 0;
      return { taken: 0, messages: [], waitMs: null };
    }
    const paidAtMs = performance.now();
    const isTry = putOff.length > 0;
    const allowed = await this.pacing.allow(isTry ? oneOfEach(places) : places, limit, crowded);
    if (allowed.granted.size === 0) {
      const waitMs = await this.pacing.waitMs(places, crowded);
      return { taken: 0, messages: [], waitMs };
    }
    const wanted = isTry ? anyPlace(places, allowed.granted) : placesWanted(places, allowed.granted);
    let claimed: Awaited<ReturnType<LedgerClaims['claim']>>;
    // Of this claim alone: what it took can be told from all else, should its answer be lost.
    const claimedBy = `${owner}/${++this.#claims}`;
    try {
      claimed = await this.claims.claim(claimedBy, {
        places: wanted,
        limit,
        now,
        overdue,
        fence,
        putOff,
      });
    } catch (error) {
      this.#lost.push({ owner: claimedBy, atMs: performance.now() });
      await this.returnUnused(allowed, [], paidAtMs);
      throw error;
    }
    for (const message of claimed.messages) {
      message.paidAtMs = paidAtMs;
      message.relay = allowed.by.get(message.queueKey)?.shift();
      passing('claimed', message.id);
    }
    if (claimed.heldLate) await this.tellHeld();
    if (claimed.taken === 0) this.guard.forgetFence();
    this.#emptyInARow = claimed.taken === 0 ? this.#emptyInARow + 1 : 0;
    await this.returnUnused(allowed, claimed.messages, paidAtMs);
    const mayBeMore = claimed.taken === 0 && !isTry && this.#emptyInARow <= LOOKS_AGAIN;
    return { ...claimed, waitMs: mayBeMore ? FASTER_OTHERS_MS : null };
  }

  /** Claimed, and its broadcast was paused since. */
  standsStill({ broadcastId }: ClaimedMessage): boolean {
    return this.broadcasts.stopped(broadcastId);
  }

  /**
   * Claimed and not begun: as if it had not been claimed, its tokens back in their buckets, but those of mails that had
   * ended after all.
   */
  async release(messages: readonly ClaimedMessage[]): Promise<void> {
    const released = await this.claims.release(messages);
    const back = messages.filter(({ id }) => released.has(id));
    const paidAtMs = Math.min(...back.map((message) => message.paidAtMs ?? Number.POSITIVE_INFINITY));
    for (const each of countByWay(back)) await this.giveBack(each, paidAtMs);
  }

  /**
   * What the receiver bears, and whether a broadcast goes to dead addresses, shows in the answers. What never got as far
   * as a body uses up nobody's day: else mailboxes that are busy or greylist would, with nothing delivered. `by`: the relay.
   */
  async answered(message: ClaimedMessage, outcome: SendOutcome, by?: string): Promise<void> {
    const { queueKey, broadcastId, paidAtMs, address, relay } = message;
    if (outcome.kind === 'refused' && outcome.stage !== 'BODY')
      await this.orLost(1, this.pacing.giveBackDay(queueKey, msSince(paidAtMs)));
    if (outcome.kind === 'accepted') await this.pacing.sped(queueKey, 1, domainOf(address), by);
    else if (NOT_TRIED.has(outcome.kind)) await this.giveBack({ queueKey, relay, count: 1 }, paidAtMs);
    else if (outcome.kind === 'refused' && outcome.code < 500) {
      if (!isOfRecipient(outcome) && !outcome.ofRelay)
        await this.pacing.slowDown(queueKey, outcome.code, domainOf(address), by);
    } else if (outcome.kind === 'refused') {
      const blames = blamesSender(outcome);
      // What stands behind the queue wants less of us: receipts go on, at a pace that does not make it worse.
      if (blames) await this.pacing.slowDown(queueKey, outcome.code, domainOf(address), by);
      if (broadcastId !== null) await this.broadcasts.refused(broadcastId, { blamesSender: blames });
    }
  }

  /** The relay `by` takes long to answer. */
  async slow({ queueKey }: ClaimedMessage, by: string): Promise<void> {
    await this.pacing.stalled(queueKey, by);
  }

  /**
   * Claims whose answer was lost with the connection, and which had been committed: their mails are in nobody's hands, and
   * would wait for their lease to run out. Nothing is asked while no claim has failed.
   */
  private async giveBackLost(): Promise<void> {
    if (this.#lost.length === 0) return;
    const found = await this.claims.releaseLost(this.#lost.map(({ owner }) => owner));
    const since = performance.now() - LOST_FOR_MS;
    this.#lost = this.#lost.filter(({ owner, atMs }) => !found.has(owner) && atMs > since);
  }

  private async returnUnused(
    { granted, by }: Allowed,
    messages: readonly ClaimedMessage[],
    paidAtMs: number,
  ): Promise<void> {
    const used = new Map<string, number>();
    for (const { queueKey } of messages) used.set(queueKey, (used.get(queueKey) ?? 0) + 1);
    const unused = [...granted].flatMap(([queueKey, count]) =>
      Array.from({ length: Math.max(0, count - (used.get(queueKey) ?? 0)) }, (_, place) => ({
        ...{ queueKey, relay: by.get(queueKey)?.[place] },
      })),
    );
    for (const each of countByWay(unused)) await this.giveBack(each, paidAtMs);
  }

  /**
   * Tokens that the database will not take are lost: better a mail too few than one too many, and what was claimed must not
   * be forgotten for them.
   */
  private async giveBack(
    { queueKey, relay = null, count }: { queueKey: string; relay?: string | null | undefined; count: number },
    paidAtMs: number | undefined,
  ): Promise<void> {
    await this.orLost(count, this.pacing.giveBack(queueKey, count, msSince(paidAtMs), relay));
  }

  /** What was claimed must not be forgotten for it. */
  private async tellHeld(): Promise<void> {
    await this.overdue.tellHeld().catch((error: unknown) => {
      this.#logger.warn(
        `the owner is not told of late mails: ${error instanceof Error ? error.message : String(error)}`,
      );
    });
  }

  private async orLost(count: number, given: Promise<void>): Promise<void> {
    await given.catch((error: unknown) => {
      this.#logger.warn(
        `${count} tokens are lost: ${error instanceof Error ? error.message : String(error)}`,
      );
    });
  }
}

function msSince(atMs: number | undefined): number {
  return Math.max(0, performance.now() - (atMs ?? Number.POSITIVE_INFINITY));
}

/** By queue and the relay that they are to go by. */
function countByWay(
  messages: readonly Pick<ClaimedMessage, 'queueKey' | 'relay'>[],
): { queueKey: string; relay: string | undefined; count: number }[] {
  const ways = new Map<string, { queueKey: string; relay: string | undefined; count: number }>();
  for (const { queueKey, relay } of messages) {
    const key = `${queueKey}@${relay ?? ''}`;
    const way = ways.get(key) ?? { queueKey, relay, count: 0 };
    way.count++;
    ways.set(key, way);
  }
  return [...ways.values()];
}
