import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { UnfitMail } from '../mails/unfit-mail.js';
import { DomainError } from '../../values/domain-error.js';
import { ClaimedMails, type Taker } from './claimed-mails.js';
import { SigningRefused } from '../signing/dkim.service.js';
import { DueMessages } from './due-messages.service.js';
import { Ledger } from '../ledger/ledger.service.js';
import { WorkerPresence } from '../ledger/worker-presence.service.js';
import { MailComposer } from './mail-composer.service.js';
import type { Claimed, ClaimedMessage, SendOutcome } from '../message/message.js';
import { OneAhead } from '../relays/one-ahead.js';
import { logWords } from '../replies/log-words.js';
import { settlementOf } from '../replies/settlement.js';
import type { OutgoingMail } from '../relays/smtp-lane.transport.js';
import { SmtpLanes, type LaneSet, type TakenLane } from '../relays/smtp-lanes.service.js';

const BATCH = 256;
const LOOK_AGAIN_MS = 500;

const LATER_ELSEWHERE: SendOutcome = {
  kind: 'not_sent',
  stage: 'kept waiting',
  reason: 'the relay that may take it does not work at present',
};

interface Prepared {
  message: ClaimedMessage;
  /** Or why it cannot be sent; null when it stands still and has been given back. */
  mail: OutgoingMail | SendOutcome | null;
  /** Its envelope may go out with the end of the mail before it. */
  follows: boolean;
}

interface Run {
  claimed: ClaimedMails;
  lanes: LaneSet;
  deadline: number;
  signal: AbortSignal;
  /** Set when no relay works or a lane has failed: what is claimed goes back untried. */
  stopped: boolean;
  /** Mails that lanes have taken of what is claimed and not brought to an end. */
  underWay: number;
  /** Nothing was due that might try the relay beside what is under way: to ask again walks past all that is put off. */
  nothingElse: boolean;
  /** To be called when the last of them has ended. */
  wake: () => void;
  accepted: number;
}

interface Way {
  run: Run;
  taker: Taker;
  ahead: OneAhead<Prepared>;
  /** The lane that has begun with this mail, then the one it goes by; null: none, or none any more. */
  taken: TakenLane | null;
}

/** What is handed over, and whom to tell when its relay takes long to answer. */
interface Handing {
  message: ClaimedMessage;
  mail: OutgoingMail | SendOutcome;
  slow: () => void;
}

const SLOW = Symbol('slow');

/**
 * Hands due messages to the relays over many lanes at once. A lane tells the ledger the end of a mail and takes the next
 * one's envelope to the relay meanwhile, but its body waits at the barrier until that end is durable: what a crash can
 * leave unclear is one message per lane.
 */
@Injectable()
export class SenderService {
  readonly #logger = new Logger(SenderService.name);
  /** Claimed, not sent, and not given back: the database was away. Else they would wait for their lease to run out. */
  #unsent: ClaimedMessage[] = [];

  constructor(
    private readonly due: DueMessages,
    private readonly ledger: Ledger,
    private readonly composer: MailComposer,
    private readonly lanes: SmtpLanes,
    private readonly presence: WorkerPresence,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Sends until nothing may go any more, the time is up (`deadline` in epoch milliseconds of the clock), no relay is in
   * reach, or `signal` asks to stop: then mails on the way are finished and no other is begun. Safe to run twice at
   * once. Returns how many were accepted.
   */
  async sendDue({ deadline, signal }: { deadline: number; signal: AbortSignal }): Promise<number> {
    await this.giveBackUnsent();
    if (!(await this.due.maySend()) || !(await this.lanes.anyUsable())) return 0;
    const claimed = new ClaimedMails(
      async () => this.claim(run),
      async (milliseconds) => sleep(milliseconds, undefined, { signal }).catch(() => undefined),
      () => this.goesOn(run),
      async () => this.moreMayCome(run),
      (relay) => lanes.lanesTo(relay),
    );
    const lanes = this.lanes.open();
    const nothing = { stopped: false, nothingElse: false, underWay: 0, wake: () => undefined, accepted: 0 };
    const run: Run = { claimed, lanes, deadline, signal, ...nothing };
    let stopped = Promise.resolve();
    const stop = (): void => void (stopped = this.giveBack(claimed).catch(() => undefined));
    signal.addEventListener('abort', stop, { once: true });
    // All are waited for even if one fails: closing a lane in the middle of a body would write into it.
    const ends = await Promise.allSettled(Array.from({ length: lanes.size }, async () => this.work(run)));
    signal.removeEventListener('abort', stop);
    await this.ledger.settled();
    lanes.close();
    // The process may end after this.
    await stopped;
    await this.giveBack(claimed);
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    return run.accepted;
  }

  private async claim(run: Run): Promise<Claimed> {
    const putOff = await this.lanes.putOff();
    if (putOff.length > 0 && run.nothingElse && run.underWay > 0)
      return { taken: 0, messages: [], waitMs: null };
    for (const templates of putOff) {
      const claimed = await this.due.claim(await this.presence.name(), BATCH, templates);
      if (claimed.taken > 0) return claimed;
      // While another mail is on its way to try the relay, none of these may be there before it.
      run.nothingElse = run.underWay > 0;
      if (run.nothingElse) return claimed;
    }
    return this.due.claim(await this.presence.name(), BATCH, [], run.claimed.crowded());
  }

  private goesOn({ signal, stopped, deadline }: Run): boolean {
    return !signal.aborted && !stopped && this.clock.now().getTime() < deadline;
  }

  /** While a mail is on its way, free lanes look again now and then: it may take a slow relay a minute. */
  private async moreMayCome(run: Run): Promise<boolean> {
    if (run.underWay === 0 || !this.goesOn(run)) return false;
    const lookAgain = new AbortController();
    run.wake = () => lookAgain.abort();
    const signal = AbortSignal.any([run.signal, lookAgain.signal]);
    await sleep(LOOK_AGAIN_MS, undefined, { signal }).catch(() => undefined);
    return run.underWay > 0 && this.goesOn(run);
  }

  /** One lane's worth of mails, one after the other; bulk mails are composed while the one before waits at the barrier. */
  private async work(run: Run): Promise<void> {
    const taker: Taker = {};
    const ahead = new OneAhead(async () => this.prepare(run, taker));
    try {
      let taken: TakenLane | null = null;
      for (let mail = await ahead.take(); mail !== null; mail = await ahead.take())
        taken = await this.sendOne(mail, { run, taker, ahead, taken });
    } catch (error) {
      run.stopped = true;
      throw error;
    } finally {
      const left = await ahead.rest();
      if (left) {
        this.ended({ run, taker }, left.message);
        if (left.mail !== null) this.#unsent.push(left.message);
      }
    }
  }

  /** At once when it is time to stop: a slow relay may keep the run for longer than the process is given. */
  private async giveBack(claimed: ClaimedMails): Promise<void> {
    this.#unsent.push(...(await claimed.rest()));
    await this.giveBackUnsent();
  }

  /** Only what is still claimed and not begun goes back, so what did end in between is safe in the list. */
  private async giveBackUnsent(): Promise<void> {
    const messages = this.#unsent.splice(0);
    try {
      await this.due.release(messages);
    } catch (error) {
      this.#unsent.push(...messages);
      throw error;
    }
  }

  /** Takes one message, and no second one in its place: who prepares ahead has looked at what kind the next is. */
  private async prepare(run: Run, taker: Taker): Promise<Prepared | null> {
    const message = this.goesOn(run) ? await run.claimed.next(taker) : null;
    if (message === null) return null;
    run.underWay++;
    try {
      if (this.due.standsStill(message)) {
        await this.due.release([message]);
        return { message, mail: null, follows: false };
      }
      return { message, mail: await this.composed(message), follows: await run.lanes.mayFollow() };
    } catch (error) {
      this.ended({ run, taker }, message);
      this.#unsent.push(message);
      throw error;
    }
  }

  private ended({ run, taker }: Pick<Way, 'run' | 'taker'>, message: ClaimedMessage): void {
    run.claimed.ended(taker, message);
    run.nothingElse = false;
    if (--run.underWay === 0) run.wake();
  }

  /** The lane, when it has begun with the next mail, which must then follow on it; else null. */
  private async sendOne({ message, mail }: Prepared, way: Way): Promise<TakenLane | null> {
    const { run } = way;
    let handed = false;
    try {
      if (mail === null) return null;
      // Of a mail that was begun the relay has no more than the envelope.
      if (!this.goesOn(run)) return this.stop(message, way);
      way.taken ??= await run.lanes.take(message.relay);
      if (way.taken === null) return this.stop(message, way);
      handed = true;
      const fit = await this.handOver(message, mail, way);
      if (fit?.lane.hasBegun === true) return fit;
    } catch (error) {
      // Its end, if it had one, is with the ledger: nothing of it may be given back here.
      if (!handed) this.#unsent.push(message);
      else if (way.taken) run.lanes.put(way.taken);
      throw error;
    } finally {
      this.ended(way, message);
    }
    if (way.taken) run.lanes.put(way.taken);
    return null;
  }

  /**
   * The lane on which the next mail may follow; null: that must ask again which relay works. A relay that takes long to
   * answer keeps the lane and the mail: the run goes on, and may end, without them.
   */
  private async handOver(
    message: ClaimedMessage,
    mail: OutgoingMail | SendOutcome,
    way: Way,
  ): Promise<TakenLane | null> {
    const startedMs = performance.now();
    let slow = (): void => undefined;
    const late = new Promise<typeof SLOW>((resolve) => (slow = () => resolve(SLOW)));
    const sending = this.handedOver({ message, mail, slow }, way);
    const wire = await Promise.race([sending, late]);
    const { run, taken } = way;
    if (wire !== SLOW) {
      const { heard } = this.tell(message, wire, { run, taken, startedMs });
      return (await heard) ? taken : null;
    }
    if (taken === null) throw new Error('a relay was slow without a lane to it');
    way.taken = null;
    // Whether the relay is still out is said now; when the answer comes, another mail may be trying it.
    const alone = { ...taken, relay: { ...taken.relay, probe: false }, parked: true as const };
    const ended = sending.then(async (end) => {
      const { heard, written } = this.tell(message, end, { run, taken: alone, startedMs });
      try {
        await heard;
      } finally {
        // The database may be away: until the ledger has the end, the lease is renewed, and the process waits for it.
        await written;
      }
    });
    await run.lanes.park(taken, { id: message.id, epoch: message.epoch }, ended);
    await this.due.slow(message, taken.relay.name);
    return null;
  }

  /**
   * The ledger, the relay's breaker and the pace learn what became of it. `written`: the ledger has it. `heard`: the others
   * have; whether the next mail may follow on the same lane.
   */
  private tell(
    message: ClaimedMessage,
    wire: SendOutcome,
    { run, taken, startedMs }: Pick<Way, 'run' | 'taken'> & { startedMs: number },
  ): { heard: Promise<boolean>; written: Promise<void> } {
    const outcome = taken ? run.lanes.judged(taken, message, wire) : wire;
    const settlement = settlementOf(message, outcome, {
      now: this.clock.now(),
      durationMs: performance.now() - startedMs,
      relay: taken?.lane.relay ?? null,
      tls: taken?.lane.tls ?? null,
      probe: taken?.relay.probe ?? false,
      elsewhere: taken !== null && this.lanes.anyBeside(taken.relay),
    });
    // Not waited for: the ledger answers in order, so the next barrier of this lane comes after this end.
    const written = this.ledger.settle(settlement);
    if (outcome.kind === 'accepted') run.accepted++;
    else this.#logger.warn(`message ${message.id}: ${logWords(settlement)}`);
    const hear = async (): Promise<boolean> => {
      const fit = taken !== null && (await run.lanes.told(taken, outcome, message));
      await this.due.answered(message, outcome, taken?.relay.name);
      return fit;
    };
    return { heard: hear(), written };
  }

  /** No relay works, or it is time: what was not begun goes back. */
  private stop(message: ClaimedMessage, { run, taken }: Pick<Way, 'run' | 'taken'>): null {
    run.stopped = true;
    this.#unsent.push(message);
    if (taken) run.lanes.put(taken);
    return null;
  }

  /**
   * A relay that has said beforehand that it cannot take the mail, for its size or its address, is left for another; the
   * lane in `way` is then that one's.
   */
  private async handedOver(handing: Handing, way: Way): Promise<SendOutcome> {
    const beyond = new Set<string>();
    for (;;) {
      const { taken } = way;
      if (taken === null) return LATER_ELSEWHERE;
      const wire = await this.outcomeOf(handing, way, taken);
      if (wire.kind !== 'unsendable' || wire.beyondRelay !== true) return wire;
      beyond.add(taken.relay.name);
      const next = await way.run.lanes.another(taken, beyond);
      if (next === 'none') return wire;
      if (next === 'later') return LATER_ELSEWHERE;
      way.taken = next === 'gone' ? null : next;
    }
  }

  private async outcomeOf(
    { message, mail: composed, slow }: Handing,
    { run, taker, ahead }: Way,
    { lane }: TakenLane,
  ): Promise<SendOutcome> {
    // What failed ahead of its time may have failed with the database, which the mail before has waited for since.
    const failed = 'kind' in composed && composed.kind === 'not_sent';
    const mail = failed ? await this.composed(message) : composed;
    if ('kind' in mail) return mail;
    const barrier = async (): Promise<boolean> => {
      const may = this.ledger.mayEnterData({ id: message.id, epoch: message.epoch });
      // A receipt does not wait behind a mail whose relay is slow: the next free lane takes it.
      if (run.claimed.first(taker)?.class === 'marketing') ahead.begin();
      return may;
    };
    const following = (): OutgoingMail | null => {
      const next = ahead.ready;
      return next?.follows && next.mail && !('kind' in next.mail) && this.goesOn(run) ? next.mail : null;
    };
    return lane.send(mail, barrier, following, slow);
  }

  private async composed(message: ClaimedMessage): Promise<OutgoingMail | SendOutcome> {
    try {
      return await this.composer.compose(message);
    } catch (error) {
      const reason = (error instanceof Error ? error.message : String(error)).slice(0, 500);
      if (error instanceof UnfitMail) return { kind: 'unfit', reason: error.heldFor };
      if (error instanceof DomainError) return { kind: 'unsendable', reason };
      if (error instanceof SigningRefused) return { kind: 'not_sent', stage: 'signing', reason };
      // It is tried again, as the cause may be the database or a limit under load.
      return { kind: 'not_sent', stage: 'render', reason };
    }
  }
}
