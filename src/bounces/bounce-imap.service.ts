import { Inject, Injectable, Logger } from '@nestjs/common';
import type { ImapFlow } from 'imapflow';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { CONFIG, type Config } from '../infra/config.js';
import type { JobContext } from '../infra/jobs/job.js';
import { IntakeService } from './intake.service.js';

const KEPT_BYTES = 512 * 1024;
const CONNECT_TIMEOUT_MS = 15_000;
const SOCKET_TIMEOUT_MS = 60_000;
const UNREADABLE = 'bounces:imap';
const LEFT_BEHIND = 'bounces:imap-mail';
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

/**
 * Reads a mailbox that bounces are sent to and that nothing else is kept in. A mail is counted first and put away then,
 * so a crash in between counts it a second time, which changes nothing. What cannot be taken stays for the next look.
 */
@Injectable()
export class BounceImap {
  readonly #logger = new Logger(BounceImap.name);
  /** Mails that could not be taken, as far as this process knows: they come last, so that they hold up no other. */
  #failed: ReadonlySet<number> = new Set();

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
      const reason = error instanceof Error ? error.message : String(error);
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

  private async readMailbox(client: ImapFlow, mailbox: string, signal: AbortSignal): Promise<number> {
    const shelves = {
      counted: await shelf(client, mailbox, COUNTED),
      other: await shelf(client, mailbox, OTHER),
    };
    const lock = await client.getMailboxLock(mailbox);
    try {
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
    let [read, inARow] = [0, 0];
    for (const uid of uids) {
      if (signal.aborted || inARow >= FAILURES_IN_A_ROW) break;
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
    if (failed.size === 0) await this.alerts.resolve(LEFT_BEHIND);
    else await this.tellOf(failed.size);
    return read;
  }

  /** False when the mail could not be taken. A mail that is gone was taken by another worker. */
  private async readOne(client: ImapFlow, uid: number, shelves: Shelves): Promise<boolean> {
    const mail = await client.fetchOne(
      String(uid),
      { source: { start: 0, maxLength: KEPT_BYTES } },
      { uid: true },
    );
    if (!mail || !mail.source) return true;
    let taken: string;
    try {
      taken = await this.intake.receive({ raw: mail.source, envelopeTo: [], source: 'imap' });
    } catch (error) {
      this.#logger.error(
        'a mail in the bounce mailbox could not be taken',
        error instanceof Error ? error.stack : '',
      );
      return false;
    }
    await client.messageFlagsAdd(String(uid), ['\\Seen'], { uid: true });
    const to = taken === 'nothing' ? shelves.other : shelves.counted;
    if (to !== null) await client.messageMove(String(uid), to, { uid: true });
    return true;
  }

  private async tellOf(count: number): Promise<void> {
    await this.alerts.raise({
      key: LEFT_BEHIND,
      severity: 'warning',
      message:
        'Mails in the bounce mailbox could not be taken and stay there. They are tried again every minute.',
      facts: { count },
    });
  }
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

async function shelf(client: ImapFlow, mailbox: string, name: string): Promise<string | null> {
  try {
    return (await client.mailboxCreate([mailbox, name])).path;
  } catch {
    return null;
  }
}
