import { Inject, Injectable, Logger } from '@nestjs/common';
import { ImapFlow } from 'imapflow';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { CONFIG, type Config } from '../infra/config.js';
import type { JobContext } from '../infra/jobs/job.js';
import { IntakeService } from './intake.service.js';

const KEPT_BYTES = 512 * 1024;
const BATCH = 50;
const CONNECT_TIMEOUT_MS = 15_000;
const SOCKET_TIMEOUT_MS = 60_000;
const ALERT = 'bounces:imap';
/** A mailbox inside the one that is read, so that servers with either naming scheme can make it. */
const DONE = 'Processed';

/**
 * Reads a mailbox that bounces are sent to. A mail is counted first and moved then, so a crash in between counts it a
 * second time, which changes nothing.
 */
@Injectable()
export class BounceImap {
  readonly #logger = new Logger(BounceImap.name);

  constructor(
    private readonly intake: IntakeService,
    private readonly alerts: AlertsService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Reads what is new until nothing is left or it is asked to stop. Returns how many mails were read. */
  async readNew({ signal }: Pick<JobContext, 'signal'>): Promise<number> {
    const url = this.config.bounceImapUrl;
    if (url === null) return 0;
    const client = clientFor(new URL(url));
    // Every failure also reaches the call under way; without a listener it would end the process.
    client.on('error', () => undefined);
    try {
      await client.connect();
      const read = await this.readMailbox(client, mailboxOf(new URL(url)), signal);
      await this.alerts.resolve(ALERT);
      return read;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#logger.warn(`the bounce mailbox could not be read: ${reason}`);
      await this.alerts.raise({
        key: ALERT,
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
    const done = await doneMailbox(client, mailbox);
    const lock = await client.getMailboxLock(mailbox);
    let read = 0;
    try {
      while (!signal.aborted) {
        const unseen = await client.search({ seen: false }, { uid: true });
        const uids = (unseen || []).slice(0, BATCH);
        if (uids.length === 0) break;
        for (const uid of uids) {
          if (signal.aborted) break;
          await this.readOne(client, uid, done);
          read++;
        }
      }
    } finally {
      lock.release();
    }
    return read;
  }

  private async readOne(client: ImapFlow, uid: number, done: string | null): Promise<void> {
    const mail = await client.fetchOne(
      String(uid),
      { source: { start: 0, maxLength: KEPT_BYTES } },
      { uid: true },
    );
    if (mail && mail.source) {
      await this.intake.receive({ raw: mail.source, envelopeTo: [], source: 'imap' });
    }
    await client.messageFlagsAdd(String(uid), ['\\Seen'], { uid: true });
    if (done !== null) await client.messageMove(String(uid), done, { uid: true });
  }
}

function clientFor(url: URL): ImapFlow {
  const secure = url.protocol === 'imaps:';
  const local = ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname);
  return new ImapFlow({
    host: url.hostname,
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

/** Where read mails go; null when the server will not have it, and then they stay, marked as seen. */
async function doneMailbox(client: ImapFlow, mailbox: string): Promise<string | null> {
  try {
    return (await client.mailboxCreate([mailbox, DONE])).path;
  } catch {
    return null;
  }
}
