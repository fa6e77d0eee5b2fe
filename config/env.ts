import { isIP } from 'node:net';
import { z } from 'zod';
import { parseRelays, type RelaySettings } from './relays.js';
import { readTrustedProxies, type TrustedProxies } from './trusted-proxies.js';
import { domainOf, parseEmailAddress } from '../src/values/email-address.js';
import { isDecodable, urlOf } from '../src/values/url.js';
import { canonicalTimeZone } from '../src/values/zoned-time.js';

/** The only reader of process.env. A wrong value stops the start with all errors at once, each naming its variable. */

const flag = z
  .enum(['true', 'false', '1', '0'], { error: 'use true or false' })
  .transform((v) => v === 'true' || v === '1');
const url = (protocols: string[]) =>
  z.string().refine((value) => protocols.includes(urlOf(value)?.protocol ?? ''), {
    error: `use a URL that starts with ${protocols.map((p) => `${p}//`).join(' or ')}`,
  });

const isReadable = (given: URL | null): boolean =>
  given === null || [given.username, given.password, given.pathname].every(isDecodable);

/** It goes into List-Unsubscribe, which knows no encoding: host in A-labels, path in %XX, and nothing behind it. */
function asciiUrl(text: string): string {
  const { origin, pathname } = new URL(text);
  return origin + pathname.replace(/\/+$/, '');
}

/** In A-labels: it goes into headers and into the envelope, of which neither is sure to take other letters. */
function asciiAddress(text: string): string | null {
  const parsed = parseEmailAddress(text.trim());
  return parsed.ok ? parsed.address : null;
}

const port = z
  .string()
  .regex(/^\d{1,5}$/, 'use a port number from 0 to 65535')
  .transform(Number)
  .refine((number) => number <= 65_535, 'use a port number from 0 to 65535');

const REPORTER = /^(?:[\w.+-]{1,64}@)?[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+$/;

const envSchema = z.object({
  PORT: port.default(3000),
  HOST: z.string().min(1).optional(),
  BASE_URL: url(['http:', 'https:']).transform(asciiUrl).optional(),
  DATA_DIR: z.string().min(1).default('./data'),
  DATA_DIR_KEPT: flag.default(true),
  DATABASE_URL: url(['postgres:', 'postgresql:']).optional(),
  MONGODB_URI: url(['mongodb:', 'mongodb+srv:']).optional(),
  BOUNCE_DOMAIN: z
    .string()
    .transform((value, context) => {
      const address = asciiAddress(`b@${value.trim()}`);
      if (address !== null) return domainOf(address);
      context.addIssue({ code: 'custom', message: 'use a domain such as bounce.example.com' });
      return z.NEVER;
    })
    .optional(),
  BOUNCE_SMTP_PORT: port.optional(),
  BOUNCE_TLS_CERT: z.string().min(1).optional(),
  BOUNCE_TLS_KEY: z.string().min(1).optional(),
  BOUNCE_IMAP_URL: url(['imap:', 'imaps:'])
    .refine((value) => isReadable(urlOf(value)), {
      error: 'write a % in user, password or mailbox as %25',
    })
    .optional(),
  SES_TOPIC_ARN: z
    .string()
    .regex(/^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w-]+$/, 'use the ARN of the SNS topic')
    .optional(),
  SENDGRID_WEBHOOK_KEY: z
    .string()
    .regex(/^[A-Za-z0-9+/=]{80,400}$/, 'use the verification key as SendGrid shows it')
    .optional(),
  POSTMARK_WEBHOOK_SECRET: z.string().min(16, 'use at least 16 characters').optional(),
  MAILGUN_WEBHOOK_KEY: z.string().min(16, 'use the HTTP webhook signing key').optional(),
  FEEDBACK_SENDER_ID: z
    .string()
    .regex(/^[a-zA-Z0-9]{5,15}$/, 'use 5 to 15 letters and digits, and never change them')
    .default('wellspring'),
  CFBL_ADDRESS: z
    .string()
    .transform((value) => asciiAddress(value) ?? '')
    .pipe(z.string().regex(/^[\w.+-]{1,64}@[\w.-]{1,250}$/, 'use an address such as fbl@example.com'))
    .optional(),
  COMPLAINT_REPORTERS: z
    .string()
    .transform((value) =>
      value
        .toLowerCase()
        .split(/[\s,]+/)
        .filter(Boolean),
    )
    .refine((all) => all.every((one) => REPORTER.test(one)), {
      error: 'use domains or addresses such as fbl.example.net, separated by commas',
    })
    .default([]),
  SMTP_URL: z
    .string()
    .transform((value, context) => {
      const { relays, problems } = parseRelays(value);
      for (const message of problems) context.addIssue({ code: 'custom', message });
      return relays;
    })
    .optional(),
  SENDING_IP: z
    .string()
    .transform((value) => value.split(/[\s,]+/).filter(Boolean))
    .refine((ips) => ips.every((ip) => isIP(ip) !== 0), {
      error: 'use IP addresses such as 203.0.113.7, separated by commas',
    })
    .default([]),
  DKIM_RECORD_CHECK: z.enum(['stop', 'warn'], { error: 'use stop or warn' }).default('stop'),
  SECRET_KEY: z.string().min(32, 'use at least 32 characters').optional(),
  ROLES: z
    .string()
    .transform((value) => value.split(',').map((role) => role.trim()))
    .pipe(z.array(z.enum(['web', 'worker'], { error: 'use web, worker or web,worker' })).min(1))
    .default(['web', 'worker']),
  API_KEY: z.string().min(16, 'use at least 16 characters').optional(),
  STRIPE_SECRET_KEY: z.string().optional(),
  STRIPE_WEBHOOK_SECRET: z.string().optional(),
  DEMO: flag.optional(),
  WEBHOOK_PRIVATE_NETWORKS: flag.default(false),
  TRUST_PROXY: z
    .string()
    .transform((value, context) => {
      const trusted = readTrustedProxies(value);
      if (typeof trusted !== 'string') return trusted;
      context.addIssue({ code: 'custom', message: trusted });
      return z.NEVER;
    })
    .optional(),
  TIME_ZONE: z
    .string()
    .transform((name, context) => {
      const zone = canonicalTimeZone(name);
      if (zone !== null) return zone;
      context.addIssue({ code: 'custom', message: 'use an IANA time zone such as Europe/Vienna' });
      return z.NEVER;
    })
    .default('UTC'),
  LOG_LEVEL: z
    .enum(['debug', 'info', 'warn', 'error', 'silent'], { error: 'use debug, info, warn, error or silent' })
    .default('warn'),
});

/** What the process was told, checked. `null` stands for "not set". */
export interface EnvConfig {
  port: number;
  host: string;
  /** Without a trailing slash; every absolute link is built from it, never from a Host header. */
  baseUrl: string;
  dataDir: string;
  /**
   * Whether `dataDir` is the same from one start to the next. False: workers do not ask when the database was started anew
   * as well, so a copy of its disk sends.
   */
  dataDirKept: boolean;
  /** `null`: the embedded PostgreSQL is started and its address filled in by `main`. */
  databaseUrl: string | null;
  mongoUri: string | null;
  /** Takes bounces and unsubscribe mails; `null`: the return path is the sender's own address. */
  bounceDomain: string | null;
  /** The built-in SMTP listener for `bounceDomain`; `null`: none is started. */
  bounceSmtpPort: number | null;
  /** Files in PEM with which the listener offers STARTTLS; `null`: it does not. */
  bounceTls: { certFile: string; keyFile: string } | null;
  /** A mailbox that bounces and complaints are sent to, read every minute: `imaps://user:password@host/INBOX`. */
  bounceImapUrl: string | null;
  /** Webhooks of providers; each is off until its key is set. */
  sesTopicArn: string | null;
  sendgridWebhookKey: string | null;
  postmarkWebhookSecret: string | null;
  mailgunWebhookKey: string | null;
  /** Addresses that mail leaves from, as the world sees them: the relay's, or this machine's. Empty: not known. */
  sendingIps: readonly string[];
  feedbackSenderId: string;
  cfblAddress: string | null;
  /** Who may report complaints beside those whom everybody knows: domains, with those below them, and addresses. */
  complaintReporters: readonly string[];
  /** Every relay of SMTP_URL; empty when it is not set. */
  relays: readonly RelaySettings[];
  /**
   * What becomes of a broadcast whose DKIM record this machine's DNS does not see. `warn`: it is sent, which is right only
   * where the world sees another DNS than this machine; else every receiver finds the signature broken.
   */
  dkimRecordCheck: 'stop' | 'warn';
  secretKey: string | null;
  roles: readonly ('web' | 'worker')[];
  apiKey: string | null;
  /** Whose word about the visitor's address is taken; `null`: nobody's, the connection itself tells. */
  trustedProxies: TrustedProxies | null;
  /** Whether webhooks of sequences may go to addresses inside of a network, at any port. */
  webhookPrivateNetworks: boolean;
  demo: boolean;
  mailboxOn: boolean;
  /** The owner's, IANA: what counts days, such as a segment of the last 30 days, counts them by its clock. */
  timeZone: string;
  logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent';
}

/** Thrown with one line per wrong variable. */
export class EnvError extends Error {
  override readonly name = 'EnvError';
}

/** The owner's time zone alone, for what runs where the rest need not be right. Throws {@link EnvError}. */
export function readTimeZone(env: Record<string, string | undefined> = process.env): string {
  const parsed = envSchema.pick({ TIME_ZONE: true }).safeParse(setIn(env));
  if (parsed.success) return parsed.data.TIME_ZONE;
  throw new EnvError(parsed.error.issues.map(({ message }) => `TIME_ZONE: ${message}`).join('\n'));
}

/** An empty string counts as not set, as compose files write it. */
function setIn(env: Record<string, string | undefined>): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
}

/** Throws {@link EnvError}. */
export function readConfig(env: Record<string, string | undefined> = process.env): EnvConfig {
  const given = setIn(env);
  const parsed = envSchema.safeParse(given);
  const problems = parsed.error?.issues.map((issue) => `${String(issue.path[0])}: ${issue.message}`) ?? [];
  if (given.STRIPE_SECRET_KEY || given.STRIPE_WEBHOOK_SECRET) {
    problems.push(
      'STRIPE_SECRET_KEY: the card provider is not part of this release; leave it unset to use the test payment page',
    );
  }
  if (given.BOUNCE_SMTP_PORT && !given.BOUNCE_DOMAIN) {
    problems.push('BOUNCE_DOMAIN: set the domain whose mail the port takes');
  }
  if (Boolean(given.BOUNCE_TLS_CERT) !== Boolean(given.BOUNCE_TLS_KEY)) {
    problems.push(
      'BOUNCE_TLS_CERT: set it together with BOUNCE_TLS_KEY, the files of a certificate and its key',
    );
  }
  if (!parsed.success || problems.length > 0) throw new EnvError(problems.join('\n'));
  const e = parsed.data;
  const mailboxOn = e.SMTP_URL === undefined;
  const nothingConfigured = e.DATABASE_URL === undefined && e.SMTP_URL === undefined;
  return Object.freeze({
    port: e.PORT,
    host: e.HOST ?? (mailboxOn ? '127.0.0.1' : '0.0.0.0'),
    baseUrl: e.BASE_URL ?? `http://localhost:${e.PORT}`,
    dataDir: e.DATA_DIR,
    dataDirKept: e.DATA_DIR_KEPT,
    databaseUrl: e.DATABASE_URL ?? null,
    mongoUri: e.MONGODB_URI ?? null,
    bounceDomain: e.BOUNCE_DOMAIN ?? null,
    bounceSmtpPort: e.BOUNCE_SMTP_PORT ?? null,
    bounceTls:
      e.BOUNCE_TLS_CERT && e.BOUNCE_TLS_KEY
        ? { certFile: e.BOUNCE_TLS_CERT, keyFile: e.BOUNCE_TLS_KEY }
        : null,
    bounceImapUrl: e.BOUNCE_IMAP_URL ?? null,
    sesTopicArn: e.SES_TOPIC_ARN ?? null,
    sendgridWebhookKey: e.SENDGRID_WEBHOOK_KEY ?? null,
    postmarkWebhookSecret: e.POSTMARK_WEBHOOK_SECRET ?? null,
    mailgunWebhookKey: e.MAILGUN_WEBHOOK_KEY ?? null,
    sendingIps: e.SENDING_IP,
    feedbackSenderId: e.FEEDBACK_SENDER_ID,
    cfblAddress: e.CFBL_ADDRESS ?? null,
    complaintReporters: e.COMPLAINT_REPORTERS,
    relays: e.SMTP_URL ?? [],
    dkimRecordCheck: e.DKIM_RECORD_CHECK,
    secretKey: e.SECRET_KEY ?? null,
    roles: e.ROLES,
    apiKey: e.API_KEY ?? null,
    trustedProxies: e.TRUST_PROXY ?? null,
    webhookPrivateNetworks: e.WEBHOOK_PRIVATE_NETWORKS,
    demo: e.DEMO ?? nothingConfigured,
    mailboxOn,
    timeZone: e.TIME_ZONE,
    logLevel: e.LOG_LEVEL,
  });
}
