import { Inject, Injectable, Logger } from '@nestjs/common';
import type { ImapFlow, ListResponse } from 'imapflow';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { CONFIG, type Config } from '../infra/config.js';
import type { JobContext } from '../infra/jobs/job.js';
import { IntakeService } from './intake.service.js';

const KEPT_BYTES = 512 * 1024;
const CONNECT_TIMEOUT_MS = 15_000;
const SOCKET_TIMEOUT_MS = 60_000;
const UNREADABLE = 'bounces:imap';
const LEFT_BEHIND = 'bounces:imap-mail';
const NOT_PUT_AWAY = 'bounces:imap-put-away';
/** So many one after the other are not the fault of the mails. */
const FAILURES_IN_A_ROW = 3;
/** Mailboxes inside the one that is read, so that servers with either naming scheme can make them. */
const COUNTED = 'Processed';
const OTHER = 'Other';

/** Where mails go when they have been read; null where the server will have no such mailbox. */
interface Shelves {
  counted: string | null;
  other: string | null;
}
type Shelf = keyof Shelves;

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
   * Mails that were read and could not be put away, as the mailbox is full or may not be changed, and where they belong: to
   * read them once more each minute would be work without end. After a restart they are, which changes nothing.
   */
  #read = new Map<string, Shelf>();

  constructor(
    private readonly intake: IntakeService,
    private readonly alerts: AlertsService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Reads what is there until nothing is left or it is asked to stop. Returns how many mails were taken. */
  async readNew({ signal }: Pick<JobContext, 'signal'>): Promise<number> {
    const url = this.config.bounceImapUrl;
    if (url === null) return 0;
    const client = await clientFor(new URL(url));
    // Every failure also reaches the call under way; without a listener it would end the process.
    client.on('error', () => undefined);
    try {
      await client.connect();
      const read = await this.readMailbox(client, mailboxOf(new URL(url)), signal);
      await this.alerts.resolve(UNREADABLE);
      return read;
    } catch (error) {
      const reason = reasonOf(error);
      this.#logger.warn(`the bounce mailbox could not be read: ${reason}`);
      await this.alerts.raise({
        key: UNREADABLE,
        severity: 'warning',
        message:
          'The bounce mailbox cannot be read. Bounces and complaints sent to it are not counted until it can.',
        facts: { reason },
      });
      return 0;
    } finally {
      client.close();
    }
  }

  private async readMailbox(client: ImapFlow, name: string, signal: AbortSignal): Promise<number> {
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
  ): Promise<number> {
    const failed = new Set<number>();
    let [read, inARow, full] = [0, 0, false];
    for (const uid of uids) {
      if (signal.aborted || inARow >= FAILURES_IN_A_ROW) break;
      // Where one of those of before cannot be put away still, neither can the next.
      const before = this.#read.get(keyOf(client, uid));
      if (before !== undefined) {
        full ||= !(await this.putAway(client, uid, shelves, before));
        continue;
      }
      if (await this.readOne(client, uid, shelves)) {
        read++;
        inARow = 0;
      } else {
        failed.add(uid);
        inARow++;
      }
    }
    this.#failed = new Set([
      ...failed,
      ...[...this.#failed].filter((uid) => uids.includes(uid) && !failed.has(uid)),
    ]);
    const here = new Set(uids.map((uid) => keyOf(client, uid)));
    for (const key of this.#read.keys()) if (!here.has(key)) this.#read.delete(key);
    await this.tellOf(LEFT_BEHIND, failed.size);
    await this.tellOf(NOT_PUT_AWAY, this.#read.size);
    return read;
  }

  /** False when the mail could not be taken. A mail that is gone was taken by another worker. */
  private async readOne(client: ImapFlow, uid: number, shelves: Shelves): Promise<boolean> {
    const mail = await client.fetchOne(
      String(uid),
      { source: { start: 0, maxLength: KEPT_BYTES } },
      { uid: true },
    );
    if (!mail) return true;
    let taken: string;
    try {
      taken = await this.intake.receive({
        raw: mail.source ?? Buffer.alloc(0),
        envelopeTo: [],
        source: 'imap',
      });
    } catch (error) {
      this.#logger.error(
        'a mail in the bounce mailbox could not be taken',
        error instanceof Error ? error.stack : '',
      );
      return false;
    }
    await this.putAway(client, uid, shelves, taken === 'nothing' ? 'other' : 'counted');
    return true;
  }

  /** False when it stays where it is. Neither call throws when the server refuses. */
  private async putAway(client: ImapFlow, uid: number, shelves: Shelves, shelf: Shelf): Promise<boolean> {
    const to = shelves[shelf];
    const marked = await client.messageFlagsAdd(String(uid), ['\\Seen'], { uid: true });
    const isAway = to === null ? marked : await client.messageMove(String(uid), to, { uid: true });
    if (isAway) this.#read.delete(keyOf(client, uid));
    else this.#read.set(keyOf(client, uid), shelf);
    return Boolean(isAway);
  }

  private async tellOf(key: typeof LEFT_BEHIND | typeof NOT_PUT_AWAY, count: number): Promise<void> {
    if (count === 0) return this.alerts.resolve(key);
    await this.alerts.raise({ key, severity: 'warning', message: TOLD[key], facts: { count } });
  }
}

const TOLD = {
  [LEFT_BEHIND]:
    'Mails in the bounce mailbox could not be taken and stay there. They are tried again every minute.',
  [NOT_PUT_AWAY]:
    'Mails in the bounce mailbox have been counted and cannot be put away: it is full, or its user may not change it. Make room there, or give the user the right to move mails.',
} as const;

/** A mailbox that was made anew gives its numbers out once more. */
function keyOf({ mailbox }: ImapFlow, uid: number): string {
  return `${mailbox === false ? '' : mailbox.uidValidity}:${uid}`;
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
