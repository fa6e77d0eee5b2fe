import { randomInt } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import type { MailProvider } from '../../values/mail-providers.js';
import type { RelayTrust } from '../../../config/relays.js';
import { AlertsService } from '../../infra/alerts/alerts.service.js';
import { CONFIG, relaysOf, type Config } from '../../infra/config.js';
import { Remembered } from '../../infra/remembered.js';
import { afterTrouble, troubleWords, shownReply, WAIT, type BreakerState } from './breaker.js';
import type { RelayTrouble } from '../replies/settlement.js';
import { chooseRelay } from './relay-choice.js';
import { afterTaken, NO_PUT_OFFS, templatesToPassOver, type PutOffs } from './put-offs.js';
import { GAP_MS, RelaysQueries, type RelayStateRow } from './relays.queries.js';

/** Where a mail may be handed over. */
export interface Relay extends RelayTrust {
  name: string;
  /** With user and password: never print it. */
  url: URL;
  weight: number;
  /** Connections at the same time; null: as the sender likes. */
  lanes: number | null;
  provider: MailProvider | null;
  /** The relay was out and this one mail finds out whether it still is: use one lane, for one mail. */
  probe: boolean;
  /** What all workers have seen it put off, when it was chosen; null: nothing. */
  putOffs: PutOffs | null;
}

interface RelayView {
  name: string;
  host: string;
  weight: number;
  lanes: number | null;
  /** `untried`: no mail has tried it, so that nobody knows whether it works. */
  state: BreakerState | 'untried';
  retryAt: Date | null;
  reason: string | null;
}

const STATES_CACHE_MS = 500;
const NO_RELAYS: ReadonlySet<string> = new Set();
const CHANCES = 1 << 30;
/** No relay's name is in it: the alert is about all of them. */
const NONE_WORKS = 'relays';

/**
 * Chooses among the relays of SMTP_URL those that work. What the workers find out about a relay they share in the
 * database: a relay that is down is tried by one mail of one worker after each pause, not by all.
 */
@Injectable()
export class RelaysService {
  readonly #relays: readonly Relay[];
  readonly #states: Remembered<ReadonlyMap<string, RelayStateRow>>;
  /** Any of them, since the start. */
  #hasWorked = false;
  /** Of which that is written down, since the start. */
  readonly #tried = new Set<string>();

  constructor(
    private readonly queries: RelaysQueries,
    private readonly alerts: AlertsService,
    @Inject(CONFIG) config: Config,
  ) {
    this.#states = new Remembered(
      async () => new Map((await queries.all()).map((row) => [row.key, row])),
      STATES_CACHE_MS,
    );
    this.#relays = relaysOf(config).map(({ url, ...rest }) => ({
      ...rest,
      url: new URL(url),
      probe: false,
      putOffs: null,
    }));
  }

  /** Every relay of the configuration, whether it works or not. */
  all(): readonly Relay[] {
    return this.#relays;
  }

  /** Whether `choose` would answer with a relay now. */
  async anyUsable(except: ReadonlySet<string> = NO_RELAYS): Promise<boolean> {
    const states = await this.#states.get();
    return this.#relays.some(({ name }) => {
      if (except.has(name)) return false;
      const row = states.get(name);
      return row === undefined || row.state === 'closed' || row.mayProbe;
    });
  }

  /**
   * Those by which mails go now, with their shares, as `choose` has it: that one of them is slow says nothing of the others.
   * One that only takes over does so while no other works, not while the others are slow: it would bear all that they do not,
   * at no pace. The only relay, too: it may have a pace of the time when it was one of several.
   */
  async shares(): Promise<Pick<Relay, 'name' | 'weight'>[]> {
    const states = await this.#states.get();
    const working = this.#relays.filter(({ name }) => (states.get(name)?.state ?? 'closed') === 'closed');
    const sharing = working.filter(({ weight }) => weight > 0);
    return [sharing, working, [...this.#relays]].find(({ length }) => length > 0) ?? [];
  }

  /** Whether `choose` would have the next mail try one that is out. */
  async anyIsDueForTry(): Promise<boolean> {
    const states = await this.#states.get();
    return this.#relays.some(({ name }) => states.get(name)?.mayProbe === true);
  }

  /** As the states were last read: mails that are to go by it go by others meanwhile. */
  isKnownOut(name: string): boolean {
    return (this.#states.last?.get(name)?.state ?? 'closed') !== 'closed';
  }

  /** Whether any is believed to work, so that a mail would not be a mere try. */
  async anyWorks(): Promise<boolean> {
    const states = await this.#states.get();
    return this.#relays.some(({ name }) => (states.get(name)?.state ?? 'closed') === 'closed');
  }

  /**
   * Since when every relay has been tried again and again, and none has taken a mail; null while one is believed to work, or
   * one has not been tried of late.
   */
  async outSince(now: Date): Promise<Date | null> {
    this.#states.forget();
    const states = await this.#states.get();
    let since: Date | null = null;
    for (const { name } of this.#relays) {
      const { state, outSince, triedAt } = states.get(name) ?? {
        state: 'closed',
        outSince: null,
        triedAt: null,
      };
      if (state === 'closed' || outSince === null || triedAt === null) return null;
      if (now.getTime() - triedAt.getTime() > GAP_MS) return null;
      if (since === null || outSince > since) since = outSince;
    }
    return since;
  }

  /** None of `except`. Null: no other works and none is due for a try. Costs a small read every half second. */
  async choose(except: ReadonlySet<string> = NO_RELAYS): Promise<Relay | null> {
    const states = await this.#states.get();
    const relays = this.#relays.filter(({ name }) => !except.has(name));
    for (const relay of relays) {
      const state = states.get(relay.name);
      if (state?.mayProbe && (await this.queries.takeProbe(relay.name))) {
        this.#states.forget();
        return { ...relay, probe: true, putOffs: state.putOffs };
      }
    }
    const candidates = relays.map((relay) => ({
      ...relay,
      usable: (states.get(relay.name)?.state ?? 'closed') === 'closed',
    }));
    const chosen = chooseRelay(candidates, randomInt(CHANCES) / CHANCES);
    return this.#relays.find(({ name }) => name === chosen?.name) ?? null;
  }

  /** Something was wrong with the relay, not with the mail, which goes back without having used up an attempt. */
  async failed({ name }: Pick<Relay, 'name'>, kind: RelayTrouble, reason: string): Promise<void> {
    const shown = shownReply(reason);
    let isOut = false;
    await this.queries.update(
      name,
      shown,
      (breaker) => afterTrouble(breaker, kind),
      async (manager, pauseSeconds) => {
        isOut = true;
        await this.alerts.raise(
          {
            key: `relay:${name}`,
            severity: this.#relays.length === 1 ? 'critical' : 'warning',
            message: troubleWords(name, kind),
            facts: { relay: name, kind, reply: shown, pauseSeconds },
          },
          manager,
        );
      },
    );
    this.#states.forget();
    if (isOut && this.#relays.length > 1) await this.tellIfNoneWorks();
  }

  /** By itself, as it reads what other workers have found out about the others. */
  private async tellIfNoneWorks(): Promise<void> {
    const names = this.#relays.map((relay) => relay.name);
    await this.queries.whereAllAreOut(names, async (manager) =>
      this.alerts.raise(
        {
          key: NONE_WORKS,
          severity: 'critical',
          message: `No mail relay works: ${names.join(', ')}. ${WAIT}`,
          facts: { relays: names },
        },
        manager,
      ),
    );
  }

  /**
   * Templates that the next try of a relay is not to be made with, see `PutOffs`: the first list, or where nothing else is due
   * the next. No list while any relay works.
   */
  async templatesToPassOver(): Promise<string[][]> {
    if (await this.anyWorks()) return [];
    const states = await this.#states.get();
    const all = this.#relays.map(({ name }) => templatesToPassOver(states.get(name)?.putOffs ?? NO_PUT_OFFS));
    const blamed = all.flatMap((one) => one.blamed);
    const tried = all.flatMap((one) => one.tried);
    return [tried.length === 0 ? [] : [...tried, ...blamed], blamed].filter(({ length }) => length > 0);
  }

  /** Templates that the relay puts off for their words, as all workers know, half a second ago at most. */
  async blamed(name: string): Promise<readonly string[]> {
    return (await this.#states.get()).get(name)?.putOffs?.blamed ?? [];
  }

  /** What this worker has seen put off joins what the others have. Returns that of all. */
  async addPutOffs({ name }: Pick<Relay, 'name'>, seen: PutOffs): Promise<PutOffs> {
    const known = await this.queries.addPutOffs(name, seen);
    this.#states.forget();
    return known;
  }

  /**
   * The relay took a mail of the template `taken`, or showed otherwise that it works. Nothing is written unless it is the first
   * time, or it had failed before, or put off others.
   */
  async worked({ name }: Pick<Relay, 'name'>, taken: string | null = null): Promise<void> {
    const known = (await this.#states.get()).get(name);
    if (!this.#hasWorked) await this.resolveOfOthers();
    this.#hasWorked = true;
    if (known === undefined) return this.noteTried(name);
    const { state, failures, putOffs } = known;
    const isKnown = putOffs === null || afterTaken(putOffs, taken, false) === putOffs;
    if (state === 'closed' && failures === 0 && isKnown) return;
    await this.queries.close(name, taken, async (manager) => {
      await this.alerts.resolve(`relay:${name}`, manager);
      await this.alerts.resolve(NONE_WORKS, manager);
    });
    this.#states.forget();
  }

  /** It has answered, whatever it said. */
  async tried({ name }: Pick<Relay, 'name'>): Promise<void> {
    if (!this.#tried.has(name)) await this.noteTried(name);
  }

  private async noteTried(name: string): Promise<void> {
    await this.queries.tried(name);
    this.#states.forget();
    this.#tried.add(name);
  }

  /** The relays may have been others before the start: what was said of those would stand for ever. */
  private async resolveOfOthers(): Promise<void> {
    await this.alerts.resolve(NONE_WORKS);
    const names = new Set<unknown>(this.#relays.map(({ name }) => name));
    for (const { key, facts } of await this.alerts.open())
      if (typeof facts['relay'] === 'string' && !names.has(facts['relay'])) await this.alerts.resolve(key);
  }

  /** There was no mail to try the relay with. */
  async notTried({ name, probe }: Pick<Relay, 'name' | 'probe'>): Promise<void> {
    if (!probe) return;
    await this.queries.returnProbe(name);
    this.#states.forget();
  }

  /** For people: without user and password. */
  async view(): Promise<RelayView[]> {
    this.#states.forget();
    const states = await this.#states.get();
    return this.#relays.map(({ name, url, weight, lanes }) => {
      const row = states.get(name);
      const { state, openedUntil, reason } = row ?? {
        state: 'untried' as const,
        openedUntil: null,
        reason: null,
      };
      // Its pause is over, and only a mail that is due makes the try: no time can be told.
      const retryAt = row?.mayProbe ? null : openedUntil;
      return { name, host: url.host, weight, lanes, state, retryAt, reason };
    });
  }
}
