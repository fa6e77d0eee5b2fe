import { Inject, Injectable, Logger } from '@nestjs/common';
import type { FetchMessageObject, ImapFlow, ListResponse } from 'imapflow';
import { DataSource } from 'typeorm';
import { GenerationGuard } from '../delivery/generation/generation-guard.service.js';
import { MAILBOX_READ } from '../delivery/generation/mailbox-first.service.js';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { putSetting } from '../infra/database/settings.js';
import type { JobContext } from '../infra/jobs/job.js';
import { FIRST_BYTES, BounceIntake } from './bounce-intake.service.js';

const CONNECT_TIMEOUT_MS = 15_000;
const SOCKET_TIMEOUT_MS = 60_000;
/** For the mail in hand when it is asked to stop. A server that sends an octet now and then would hold it for ever. */
export const LAST_MAIL_MS = 20_000;
/** So long it may be unreadable before the owner is written to. */
const LASTS_MS = 3_600_000;
const UNREADABLE = 'bounces:imap';
const LEFT_BEHIND = 'bounces:imap-mail';
const NOT_PUT_AWAY = 'bounces:imap-put-away';
/** So many one after the other are not the fault of the mails. */
const FAILURES_IN_A_ROW = 3;
/** Mails that are put away together. After a crash they are read once more, which changes nothing. */
const AWAY_AT_ONCE = 50;
/** Mailboxes inside the one that is read, so that servers with either naming scheme can make them. */
const COUNTED = 'Processed';
const OTHER = 'Other';

/** Where mails go when they have been read; null where the server will have no such mailbox. */
interface Shelves {
  counted: string | null;
  other: string | null;
}
type Shelf = keyof Shelves;

/** How many mails were taken, and whether all that was there was looked at. */
interface Look {
  read: number;
  toItsEnd: boolean;
}

/**
 * Reads a mailbox that bounces are sent to and that nothing else is kept in. A mail is counted first and put away then,
 * so a crash in between counts it a second time, which changes nothing. What cannot be taken stays for the next look.
 */
@Injectable()
export class BounceImap {
  readonly #logger = new Logger(BounceImap.name);
  /** Mails that could not be taken, as far as this process knows: they come last, so that they hold up no other. */
  #failed: ReadonlySet<number> = new Set();
  /**
   * Mails that were read and are not put away, and where they belong. Where the mailbox is full or may not be changed, to
   * read them once more each minute would be work without end. After a restart they are, which changes nothing.
   */
  #read = new Map<string, Shelf>();
  /**
   * Links in mails by which somebody wants to leave of whom this database does not know. The owner may leave them there for good:
   * they are read once more when it does.
   */
  readonly #lost = new Map<string, readonly string[]>();

  constructor(
    private readonly intake: BounceIntake,
    private readonly guard: GenerationGuard,
    private readonly alerts: AlertsService,
    private readonly dataSource: DataSource,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Reads what is there until nothing is left or it is asked to stop. Returns how many mails were taken. None while the
   * database may not send: that of which it is a copy has the same mailbox, and would never hear who left or complained.
   */
  async readNew({ signal }: Pick<JobContext, 'signal'>): Promise<number> {
    const url = this.config.bounceImapUrl;
    if (url === null || !(await this.guard.state()).ok) return 0;
    const generation = await this.guard.generation();
    const client = await clientFor(new URL(url));
    // Every failure also reaches the call under way; without a listener it would end the process.
    client.on('error', () => undefined);
    const late = closesAfter(signal, client);
    try {
      await client.connect();
      const { read, toItsEnd } = await this.readMailbox(client, mailboxOf(new URL(url)), signal);
      if (toItsEnd) await putSetting(this.dataSource, MAILBOX_READ, { generation }, this.clock.now());
      await this.alerts.resolve(UNREADABLE);
      return read;
    } catch (error) {
      const reason = reasonOf(error);
      this.#logger.warn(`the bounce mailbox could not be read: ${reason}`);
      await this.tellUnreadable(reason);
      return 0;
    } finally {
      late.end();
      client.close();
    }
  }

  /** Critical, and so mailed, when it lasts: who leaves by mail is written to meanwhile. A server that is restarted is back sooner. */
  private async tellUnreadable(reason: string): Promise<void> {
    const open = (await this.alerts.open()).find(({ key }) => key === UNREADABLE);
    const lasts = open !== undefined && this.clock.now().getTime() - open.raisedAt.getTime() >= LASTS_MS;
    await this.alerts.raise({
      key: UNREADABLE,
      severity: lasts ? 'critical' : 'warning',
      message:
        'The bounce mailbox cannot be read. Bounces and complaints sent to it are not counted until it can, and who leaves by mail is still written to.',
      facts: { reason },
    });
  }

  private async readMailbox(client: ImapFlow, name: string, signal: AbortSignal): Promise<Look> {
    const folders = await client.list();
    const { path, delimiter } = folderNamed(folders, name);
    const lock = await client.getMailboxLock(path);
    try {
      // Not before the mailbox is known to be there: a name that was mistyped would leave these behind.
      const shelf = async (of: string): Promise<string | null> =>
        shelfAt(client, folders, `${path}${delimiter}${of}`);
      const shelves = { counted: await shelf(COUNTED), other: await shelf(OTHER) };
      return await this.readAll(client, await this.waiting(client, shelves), shelves, signal);
    } finally {
      lock.release();
    }
  }

  /**
   * What has been read is moved away, so whatever is there is new, even when somebody has looked at it. Only where
   * nothing can be moved, the mark tells.
   */
  private async waiting(client: ImapFlow, { counted, other }: Shelves): Promise<number[]> {
    const movable = counted !== null && other !== null;
    const found = await client.search(movable ? { deleted: false } : { seen: false }, { uid: true });
    const uids = found || [];
    return [...uids.filter((uid) => !this.#failed.has(uid)), ...uids.filter((uid) => this.#failed.has(uid))];
  }

  private async readAll(
    client: ImapFlow,
    uids: readonly number[],
    shelves: Shelves,
    signal: AbortSignal,
  ): Promise<Look> {
    const failed = new Set<number>();
    const here = new Set(uids.map((uid) => keyOf(client, uid)));
    const unread = uids.filter((uid) => !this.#read.has(keyOf(client, uid)));
    // What failed in an earlier look, too, fails for good, and is no reason to wait for another look.
    const owed = new Set(unread.filter((uid) => !this.#failed.has(uid)));
    let [read, inARow] = [0, 0];
    // Where those of before cannot be put away still, neither can the next: the first refusal is enough.
    await this.putAwayRead(client, uids, shelves);
    const known = await this.intake.knownLinks([...this.#lost.values()].flat());
    for (const uid of unread) {
      if (signal.aborted || inARow >= FAILURES_IN_A_ROW) break;
      if (this.#lost.get(keyOf(client, uid))?.every((link) => !known.has(link)) === true) {
        failed.add(uid);
        owed.delete(uid);
        continue;
      }
      const outcome = await this.readOne(client, uid);
      if (outcome !== 'failed') owed.delete(uid);
      if (outcome === 'read') read++;
      else failed.add(uid);
      inARow = outcome === 'failed' ? inARow + 1 : 0;
      if (read > 0 && read % AWAY_AT_ONCE === 0) await this.putAwayRead(client, unread, shelves);
    }
    await this.putAwayRead(client, unread, shelves);
    this.#failed = new Set([
      ...failed,
      ...[...this.#failed].filter((uid) => uids.includes(uid) && !failed.has(uid)),
    ]);
    for (const kept of [this.#read, this.#lost])
      for (const key of kept.keys()) if (!here.has(key)) kept.delete(key);
    await this.tellOf(LEFT_BEHIND, failed.size);
    await this.tellOf(NOT_PUT_AWAY, this.#read.size);
    return { read, toItsEnd: !signal.aborted && (inARow < FAILURES_IN_A_ROW || owed.size === 0) };
  }

  /** `left`: it says nothing of those behind it. A mail that is gone was taken by another worker. */
  private async readOne(client: ImapFlow, uid: number): Promise<'read' | 'left' | 'failed'> {
    const key = keyOf(client, uid);
    const first = await fetchPages(client, uid, FIRST_BYTES);
    if (!first) return 'read';
    try {
      const head = first.source ?? Buffer.alloc(0);
      const isCut = head.length >= FIRST_BYTES;
      const wanted = isCut ? this.intake.bytesToKeep(head) : FIRST_BYTES;
      const mail = wanted > FIRST_BYTES ? await fetchPages(client, uid, wanted) : first;
      if (!mail) return 'read';
      const taken = await this.intake.receive({
        raw: mail.source ?? Buffer.alloc(0),
        envelopeTo: [],
        source: 'imap',
        arrivedAt: mail.internalDate instanceof Date ? mail.internalDate : undefined,
        lost: (links) => this.#lost.set(key, links),
      });
      // Stays there until the owner has done it, or the database that knows the mail is back.
      if (taken === 'lost') return 'left';
      this.#read.set(key, taken === 'nothing' ? 'other' : 'counted');
      return 'read';
    } catch (error) {
      this.#logger.error(
        'a mail in the bounce mailbox could not be taken',
        error instanceof Error ? error.stack : '',
      );
      return 'failed';
    }
  }

  /** Those of `uids` that were read, some at a time: a server with a file for each mail looks at all of them for each move. */
  private async putAwayRead(client: ImapFlow, uids: readonly number[], shelves: Shelves): Promise<void> {
    for (const shelf of ['counted', 'other'] as const) {
      const read = uids.filter((uid) => this.#read.get(keyOf(client, uid)) === shelf);
      for (let at = 0; at < read.length; at += AWAY_AT_ONCE)
        if (!(await this.putAway(client, read.slice(at, at + AWAY_AT_ONCE), shelves[shelf]))) return;
    }
  }

  /**
   * False when they stay where they are. Neither call throws when the server refuses. A user may have the right to move
   * mails and none to mark them; but where a mailbox is made anew in the meantime the mark is refused as well, and the
   * numbers are those of mails that nobody has read.
   */
  private async putAway(client: ImapFlow, uids: readonly number[], to: string | null): Promise<boolean> {
    const keys = uids.map((uid) => keyOf(client, uid));
    const range = uids.join(',');
    const marked = await client.messageFlagsAdd(range, ['\\Seen'], { uid: true });
    const mayMove = to !== null && (marked || (await isSame(client)));
    const isAway = mayMove ? await client.messageMove(range, to, { uid: true }) : to === null && marked;
    if (isAway) for (const key of keys) this.#read.delete(key);
    return Boolean(isAway);
  }

  private async tellOf(key: typeof LEFT_BEHIND | typeof NOT_PUT_AWAY, count: number): Promise<void> {
    if (count === 0) return this.alerts.resolve(key);
    await this.alerts.raise({ key, severity: 'warning', message: TOLD[key], facts: { count } });
  }
}

/** For `doctor`: how many mails wait there. Throws with what the server says; changes nothing. */
export async function tryMailbox(url: URL, limitMs: number): Promise<string> {
  const client = await clientFor(url);
  client.on('error', () => undefined);
  const late = setTimeout(() => client.close(), limitMs);
  try {
    await client.connect();
    const { path } = folderNamed(await client.list(), mailboxOf(url));
    const status = await client.status(path, { messages: true });
    if (status === false) throw new Error(`there is no ${path}`);
    return `${url.host} takes the login; mails that wait in ${path}: ${status.messages ?? 0}`;
  } catch (error) {
    throw new Error(`${url.host}: ${reasonOf(error)}`, { cause: error });
  } finally {
    clearTimeout(late);
    client.close();
  }
}

const TOLD = {
  [LEFT_BEHIND]:
    'Mails in the bounce mailbox could not be taken and stay there. They are tried again every minute. Some may ask to be taken off the list, by an address that stood in a mail of which a restored backup does not know: take off whoever wrote them, and delete them.',
  [NOT_PUT_AWAY]:
    'Mails in the bounce mailbox have been counted and cannot be put away: it is full, or its user may not change it. Make room there, or give the user the right to move mails.',
} as const;

async function fetchPages(
  client: ImapFlow,
  uid: number,
  maxLength: number,
): Promise<FetchMessageObject | false> {
  const query = { source: { start: 0, maxLength }, internalDate: true };
  return client.fetchOne(String(uid), query, { uid: true });
}

/** A mailbox that was made anew gives its numbers out once more. */
function keyOf({ mailbox }: ImapFlow, uid: number): string {
  return `${mailbox === false ? '' : mailbox.uidValidity}:${uid}`;
}

/** Whether the mailbox is the one that was opened, and was not made anew since. Asked by opening it: its status is that of the old one. */
async function isSame(client: ImapFlow): Promise<boolean> {
  if (client.mailbox === false) return false;
  const { path, uidValidity } = client.mailbox;
  return (await client.mailboxOpen(path)).uidValidity === uidValidity;
}

/** The connection ends some time after `signal` says so, whatever is waited for then. */
function closesAfter(signal: AbortSignal, client: ImapFlow): { end: () => void } {
  let timer: NodeJS.Timeout | undefined;
  const begin = (): void => {
    timer = setTimeout(() => client.close(), LAST_MAIL_MS);
  };
  if (signal.aborted) begin();
  else signal.addEventListener('abort', begin, { once: true });
  return {
    end: () => {
      signal.removeEventListener('abort', begin);
      clearTimeout(timer);
    },
  };
}

/** What the server says is of more use than that it says no. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const said = 'responseText' in error && typeof error.responseText === 'string' ? error.responseText : '';
  return said === '' ? error.message : said;
}

/** The library is loaded by those who read a mailbox alone. */
async function clientFor(url: URL): Promise<ImapFlow> {
  const { ImapFlow } = await import('imapflow');
  const secure = url.protocol === 'imaps:';
  const local = ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname);
  return new ImapFlow({
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(url.port) || (secure ? 993 : 143),
    secure,
    // Without TLS the password would travel in the clear.
    doSTARTTLS: secure || local ? undefined : true,
    auth: { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) },
    logger: false,
    connectionTimeout: CONNECT_TIMEOUT_MS,
    greetingTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
  } as ConstructorParameters<typeof ImapFlow>[0]);
}

function mailboxOf({ pathname }: URL): string {
  return decodeURIComponent(pathname.slice(1)) || 'INBOX';
}

/**
 * The folder that is meant: by its name, by the name with `/` between its parts as addresses have it, whatever the server
 * puts there, or in IMAP's own spelling of letters (RFC 3501 §5.1.3).
 */
function folderNamed(
  folders: readonly ListResponse[],
  name: string,
): Pick<ListResponse, 'path' | 'delimiter'> {
  const spellings = [
    ({ path }: ListResponse) => path,
    ({ path, delimiter }: ListResponse) => path.replaceAll(delimiter, '/'),
    ({ pathAsListed }: ListResponse) => pathAsListed,
  ];
  for (const spelling of spellings) {
    const folder = folders.find((one) => spelling(one) === name);
    if (folder) return folder;
  }
  return { path: name, delimiter: folders[0]?.delimiter ?? '/' };
}

async function shelfAt(
  client: ImapFlow,
  folders: readonly ListResponse[],
  path: string,
): Promise<string | null> {
  // Not every server says of one that is there that this is why it makes none.
  if (folders.some((folder) => folder.path === path)) return path;
  try {
    return (await client.mailboxCreate(path)).path;
  } catch {
    return null;
  }
}
