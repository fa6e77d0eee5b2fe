import { access, constants, stat } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import type { CommandContext } from '../application.js';
import { tryMailbox } from '../bounces/bounce-imap.service.js';
import { IntakeWatch } from '../bounces/intake-watch.service.js';
import { GenerationGuard } from '../delivery/generation/generation-guard.service.js';
import { takesWrites } from '../infra/database/takes-writes.queries.js';
import { dkimDomain } from '../delivery/signing/dkim-keys.js';
import { DkimService } from '../delivery/signing/dkim.service.js';
import { DomainCheckService } from '../delivery/domains/domain-check.service.js';
import type { RemoteHosts } from '../delivery/domains/remote-hosts.js';
import type { DnsResolver } from '../infra/dns.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { KeptSignups } from '../signup/kept-signups.service.js';
import { Keepers } from '../subscribers/keepers.service.js';
import { SmtpSession } from '../delivery/relays/smtp-session.transport.js';
import { durabilityInWords } from '../infra/database/durable-commits.js';
import { poolerInWords } from '../infra/database/pooler.js';
import type { Level } from '../delivery/domains/finding.js';

export interface Check {
  name: string;
  /** False for `fail` alone. */
  ok: boolean;
  level: Level;
  detail: string;
}

interface DoctorOptions {
  /** Sending domains to look at instead of those that funnels and broadcasts use. */
  domains?: readonly string[];
  /** Address that mail leaves from. */
  ip?: string | undefined;
  dns?: DnsResolver;
  /** What lies beyond the DNS, in place of the world itself. */
  remote?: RemoteHosts;
}

const TIMEOUT_MS = 5_000;
/** For a server of mails, either way. */
const SERVER_LIMIT_MS = 15_000;

/** Each thing an installation needs, tried for real. Never throws; what fails says what to do. Ends within 20 seconds. */
export async function doctor(context: CommandContext, options: DoctorOptions = {}): Promise<Check[]> {
  const [here, domains] = await Promise.all([installation(context), domainChecks(context, options)]);
  return [...here, ...domains];
}

async function installation(context: CommandContext): Promise<Check[]> {
  const { config, dataSource, app } = context;
  return Promise.all([
    check('database', async () => {
      const rows: { server_version: string }[] = await dataSource.query('show server_version');
      if (!(await takesWrites(dataSource.manager)))
        throw new Error(
          'it can be read and takes no writes, as a standby: nothing is sent, and nobody can buy or sign in',
        );
      return `PostgreSQL ${rows[0]?.server_version}`;
    }),
    check('sessions', async () => poolerInWords(dataSource)),
    check('durable commits', async () => durabilityInWords(dataSource)),
    check('schema', async () => {
      if (await dataSource.showMigrations())
        throw new Error('migrations are waiting: run wellspring migrate');
      return 'up to date';
    }),
    check('data folder', async () => {
      await access(config.dataDir, constants.R_OK | constants.W_OK);
      return config.dataDir;
    }),
    check('secret key', async () => {
      const mode = (await stat(join(config.dataDir, 'secret.key')).catch(() => null))?.mode;
      if (mode !== undefined && (mode & 0o077) !== 0)
        throw new Error('secret.key may be read by other accounts: chmod 600 it');
      return mode === undefined ? 'from SECRET_KEY' : 'kept in the data folder, mode 600';
    }),
    check('signing keys', async () => app.get(DkimService, { strict: false }).checkKeys()),
    check('job store', async () =>
      config.mongoUri === null ? 'PostgreSQL' : reach(new URL(config.mongoUri), 27_017),
    ),
    ...relayChecks(config),
    check('ledger', async () => {
      const guard = app.get(GenerationGuard, { strict: false });
      const state = await guard.state();
      if (!state.ok)
        throw new Error(`nothing is sent: ${state.reason}; see wellspring ledger confirm --help`);
      const until = await guard.waitsForMailbox();
      return until === null
        ? 'mails may go out'
        : `no mail goes before the bounce mailbox has been read, or ${until.toISOString()}: who left by mail while the ledger was not confirmed is in it`;
    }),
    ...keptChecks(context),
    check('bounces', async () => app.get(IntakeWatch, { strict: false }).inWords()),
    ...[config.bounceImapUrl ?? []]
      .flat()
      .map(async (url) => check('bounce mailbox', async () => tryMailbox(new URL(url), SERVER_LIMIT_MS))),
    check('address', async () => {
      if (!config.mailboxOn && !config.baseUrl.startsWith('https://'))
        throw new Error('BASE_URL: links in mails should start with https://');
      return config.baseUrl;
    }),
  ]);
}

/** What came while the database took nothing. */
function keptChecks({ config, app }: CommandContext): Promise<Check>[] {
  return [
    check('leavings', async () => {
      const silent = await app
        .get(Keepers, { strict: false })
        .silent(app.get<Clock>(CLOCK, { strict: false }).now());
      if (silent.length === 0) return 'all readers who left by a link are known';
      const wait = silent.some(({ until }) => until !== null);
      throw new Error(
        `${silent.map(({ place }) => place).join(', ')} said nothing for a while, and mails of lists ${wait ? 'wait' : 'go on without it'}: ` +
          'start that process again on its folder, or say on the page Sending that it is gone for good',
      );
    }),
    check('sign-ups', async () => {
      const waiting = await app.get(KeptSignups, { strict: false }).waiting();
      if (waiting === 0) return 'none waits in the data folder';
      throw new Error(
        `${waiting} came while the database took none and ${waiting === 1 ? 'waits' : 'wait'} in ${join(config.dataDir, 'signups')}: ` +
          'a process that runs on this folder hands them in',
      );
    }),
  ];
}

/** Each is greeted, encrypted to and logged in at, as for a mail. */
function relayChecks({ mailboxOn, relays }: CommandContext['config']): Promise<Check>[] {
  if (mailboxOn) return [check('mail relay', async () => 'built-in mailbox (set SMTP_URL to send mail)')];
  return relays.map(async ({ name, url, ...trust }) =>
    check(relays.length === 1 ? 'mail relay' : `mail relay ${name}`, async () => {
      const session = await SmtpSession.open(new URL(url), trust, SERVER_LIMIT_MS);
      session.quit();
      const { host, username } = new URL(url);
      return `${host} answers, ${session.tls ?? 'without encryption'}${username === '' ? '' : ', and takes the login'}`;
    }),
  );
}

/** D1 to D9. With the built-in mailbox no mail leaves, so there is nothing to look at unless the owner names a domain. */
async function domainChecks(
  { config, app }: CommandContext,
  { domains, ip, dns, remote }: DoctorOptions,
): Promise<Check[]> {
  if (config.mailboxOn && domains === undefined)
    return [await check('sending domains', async () => 'the built-in mailbox is on, so no mail leaves')];
  try {
    const service = app.get(DomainCheckService, { strict: false });
    const reports = await service.check(domains?.map(dkimDomain) ?? (await service.senderDomains()), {
      ip,
      ...(dns ? { dns } : {}),
      ...(remote ? { remote } : {}),
    });
    return reports.flatMap(({ domain, findings }) =>
      findings.map(({ id, name, level, detail }) => ({
        name: `${id} ${name}${domain === null ? '' : ` of ${domain}`}`,
        ok: level !== 'fail',
        level,
        detail,
      })),
    );
  } catch (error) {
    return [
      await check('sending domains', async () => {
        throw error;
      }),
    ];
  }
}

async function check(name: string, run: () => Promise<string>): Promise<Check> {
  try {
    return { name, ok: true, level: 'ok', detail: await run() };
  } catch (error) {
    return { name, ok: false, level: 'fail', detail: error instanceof Error ? error.message : String(error) };
  }
}

async function reach({ hostname, port }: URL, defaultPort: number): Promise<string> {
  const place = `${hostname}:${port || defaultPort}`;
  return new Promise((resolve, reject) => {
    const socket = createConnection({
      host: hostname,
      port: Number(port) || defaultPort,
      timeout: TIMEOUT_MS,
    });
    socket.once('connect', () => (socket.destroy(), resolve(`answers on ${place}`)));
    socket.once(
      'timeout',
      () => (socket.destroy(), reject(new Error(`${place} does not answer within 5 s`))),
    );
    socket.once('error', (error) => reject(new Error(`${place}: ${error.message}`)));
  });
}
