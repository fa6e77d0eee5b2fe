import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { AcceptedJournal } from './accepted-journal.service.js';
import { passing } from './fault-points.js';
import { LedgerQueries, type Claim } from './ledger.queries.js';
import { isRefusedData } from './refused-data.js';
import { withoutWords, type Settlement } from '../replies/settlement.js';

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5_000;
/** A database that hangs fails no statement for many seconds. One that is only slow costs a write to disk too many. */
const SLOW_MS = 1_000;

/**
 * Rounds that follow each other at once are small, and each costs PostgreSQL and us as much as several mails of it. While
 * many lanes are at work so much waiting brings more of them into one: two workers on two cores sent 1.01 to 1.18 times as
 * many mails a second, in three pairs of runs, and one worker as many as before. With few lanes it would only make them wait.
 */
const GATHER_MS = 2;
const MANY = 12;

interface Asked extends Claim {
  answer: (may: boolean) => void;
}

interface Told {
  settlement: Settlement;
  done: () => void;
}

/**
 * The group commit of the send ledger: whatever lanes ask and tell while one transaction is on its way goes into the
 * next one together. One transaction at a time and first come, first served: a lane that has told the end of a mail and
 * then asks for the next is never let through before that end is durable. That order is what bounds what a crash can
 * leave unclear to one mail per lane.
 *
 * While the database is away nothing is answered, so nothing is sent; it is tried until it is back. What relays have
 * accepted meanwhile is kept in a file, so that even a kill in that moment leaves none of it unknown.
 */
@Injectable()
export class Ledger {
  readonly #logger = new Logger(Ledger.name);
  #asked: Asked[] = [];
  #told: Told[] = [];
  #writing: Promise<void> | null = null;
  /** From the first statement that failed or took long until nothing waits any more: meanwhile every end goes to the journal, too. */
  #away = false;
  /** Nothing more goes to the journal, and what is in it stands in this very round. */
  #returning = false;
  #kept: Promise<void> = Promise.resolve();

  constructor(
    private readonly queries: LedgerQueries,
    private readonly journal: AcceptedJournal,
  ) {}

  /** The barrier: asked after the relay's 354, before the first byte of the body. False: not one byte may be sent. */
  async mayEnterData(claim: Claim): Promise<boolean> {
    return new Promise((answer) => {
      this.#asked.push({ ...claim, answer });
      this.#write();
    });
  }

  /** Resolves when it is durable. */
  async settle(settlement: Settlement): Promise<void> {
    return new Promise((done) => {
      this.#told.push({ settlement, done });
      if (this.#away) this.#keep([settlement]);
      this.#write();
    });
  }

  /** Everything told so far is durable. */
  async settled(): Promise<void> {
    while (this.#writing) await this.#writing;
  }

  #keep(settlements: readonly Settlement[]): void {
    this.#kept = this.#kept.then(async () => this.journal.keep(settlements));
  }

  #write(): void {
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = null;
    });
  }

  async #writeAll(): Promise<void> {
    // What else is asked in this turn of the event loop joins.
    await new Promise(setImmediate);
    while (this.#asked.length > 0 || this.#told.length > 0) {
      const [asked, told] = [this.#asked, this.#told];
      this.#asked = [];
      this.#told = [];
      for (const { id } of asked) passing('barrier-sent', id);
      for (const { settlement } of told) passing('settle-sent', settlement.id);
      const startedMs = performance.now();
      const may = await this.#untilWritten(asked, told);
      for (const { settlement, done } of told) {
        passing('settled', settlement.id);
        done();
      }
      for (const { id, answer } of asked) {
        passing('barrier-done', id);
        answer(may.has(id));
      }
      // Lanes that are busy all the time leave no round without an end: else one slow statement would cost each mail of a
      // broadcast a write to disk. The round after a fast one holds all ends that the journal has.
      if ((this.#away && this.#told.length === 0) || this.#returning) await this.#back();
      else if (this.#away && performance.now() - startedMs < SLOW_MS)
        [this.#away, this.#returning] = [false, true];
      if (asked.length + told.length > MANY) await sleep(GATHER_MS);
    }
  }

  /** All that the journal holds is in the database. */
  async #back(): Promise<void> {
    [this.#away, this.#returning] = [false, false];
    await this.#kept;
    await this.journal.forget();
  }

  async #untilWritten(asked: Asked[], told: Told[], again = false): Promise<Set<string>> {
    const settlements = told.map(({ settlement }) => settlement);
    const held = settlements.filter(({ state }) => state === 'held_back');
    const ended = settlements.filter(({ state }) => state !== 'held_back');
    for (let tries = 0; ; tries++) {
      const slow = setTimeout(() => this.#miss(ended), SLOW_MS);
      try {
        if (held.length > 0) await this.queries.settleHeld(held);
        return await this.queries.write(ended, asked, again || tries > 0);
      } catch (error) {
        if (isRefusedData(error) && settlements.length + asked.length > 1) {
          // The last of them are written long after their relays took them.
          this.#miss(ended);
          return await this.#oneByOne(asked, told, again || tries > 0);
        }
        if (isRefusedData(error)) {
          this.#logger.error(`message ${settlements[0]?.id ?? asked[0]?.id}: the ledger refuses its entry`);
          return await this.#withoutWords(told, again || tries > 0);
        }
        if (tries === 0) {
          this.#logger.error(
            `the ledger cannot be written: ${error instanceof Error ? error.message : String(error)}`,
          );
          this.#miss(ended);
          await this.#kept;
        }
        await sleep(Math.min(FIRST_PAUSE_MS * 2 ** tries, LONGEST_PAUSE_MS));
      } finally {
        clearTimeout(slow);
      }
    }
  }

  /** Ends that were told meanwhile wait for this very statement. */
  #miss(ended: readonly Settlement[]): void {
    if (this.#away) return;
    [this.#away, this.#returning] = [true, false];
    this.#keep([...ended, ...this.#told.map(({ settlement }) => settlement)]);
  }

  /** What is refused even so is put aside, for whoever looks into it: nobody may go on as if it were written. */
  async #withoutWords([refused]: Told[], again: boolean): Promise<Set<string>> {
    const bare = refused && withoutWords(refused.settlement);
    if (refused && bare) return this.#untilWritten([], [{ ...refused, settlement: bare }], again);
    if (refused) await this.journal.putAside([refused.settlement]);
    return new Set();
  }

  /** One entry that PostgreSQL cannot take must not hold up those of all other lanes for ever. */
  async #oneByOne(asked: Asked[], told: Told[], again: boolean): Promise<Set<string>> {
    const may = new Set<string>();
    for (const one of told) await this.#untilWritten([], [one], again);
    for (const one of asked) for (const id of await this.#untilWritten([one], [], again)) may.add(id);
    return may;
  }
}
