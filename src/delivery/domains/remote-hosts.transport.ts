import { isIP } from 'node:net';
import { connect } from 'node:tls';
import { isPublicAddress } from '../../infra/public-address.js';
import { SafeFetch, type Resolve } from '../../infra/safe-fetch.js';
import { SmtpSession } from '../relays/smtp-session.transport.js';
import type { CertificateSeen } from './certificate.js';
import type { FileSeen, MailboxReply, RemoteHosts } from './remote-hosts.js';

const HTTPS_TIMEOUT_MS = 5_000;
const SMTP_LIMIT_MS = 5_000;
/** For all questions to one server together: one that takes its time for each would make the owner wait half a minute. */
export const QUESTIONS_LIMIT_MS = 8_000;

interface RemoteHostsOptions {
  /** Where mail servers listen. */
  smtpPort?: number;
  /** Whether addresses inside of a network are asked, too: nobody is led there by a record that somebody else wrote. */
  allowInside?: boolean;
  /** Certificates in PEM that vouch for others, instead of those that Node.js brings. */
  ca?: string;
  /** How names of files are looked up. */
  resolve?: Resolve;
}

/** The world itself, seen from this machine. */
export function remoteHosts({
  smtpPort = 25,
  allowInside = false,
  ca,
  resolve,
}: RemoteHostsOptions = {}): RemoteHosts {
  return {
    certificate: async (url) => certificateOf(url, ca),
    mailboxes: async (host, addresses) =>
      allowInside || isPublicAddress(host)
        ? mailboxesAt(new URL(`smtp://${isIP(host) === 6 ? `[${host}]` : host}:${smtpPort}`), addresses)
        : addresses.map((address) => ({ address, reply: null })),
    file: async (url, maxBytes) => fileAt(new SafeFetch('', resolve, allowInside), url, maxBytes),
  };
}

/** Looks at the certificate of a host as a browser would, for five seconds at most. */
async function certificateOf({ hostname, port }: URL, ca: string | undefined): Promise<CertificateSeen> {
  return new Promise((resolve) => {
    const host = hostname.replace(/^\[|\]$/g, '');
    // Judged afterwards, so that a bad one can be described.
    const named = isIP(host) === 0 ? { servername: host } : {};
    const trust = ca === undefined ? {} : { ca };
    const socket = connect({
      host,
      port: Number(port) || 443,
      ...named,
      ...trust,
      rejectUnauthorized: false,
    });
    const end = (seen: CertificateSeen): void => {
      socket.destroy();
      resolve(seen);
    };
    socket.setTimeout(HTTPS_TIMEOUT_MS, () => end({ kind: 'unreached', reason: 'no answer within 5 s' }));
    socket.once('error', ({ message }) => end({ kind: 'unreached', reason: message }));
    socket.once('secureConnect', () => {
      const error = socket.authorized ? null : String(socket.authorizationError);
      end({ kind: 'seen', error, validUntil: new Date(socket.getPeerCertificate().valid_to) });
    });
  });
}

/** Ends before DATA, so nobody gets a mail. Each address is a transaction of its own, as one of a bounce would be. */
async function mailboxesAt(server: URL, addresses: readonly string[]): Promise<MailboxReply[]> {
  const replies: MailboxReply[] = addresses.map((address) => ({ address, reply: null }));
  try {
    const session = await SmtpSession.open(server, { tls: 'none', ca: null }, SMTP_LIMIT_MS);
    const late = setTimeout(() => session.destroy(), QUESTIONS_LIMIT_MS);
    try {
      const say = async (line: string): Promise<{ code: number; text: string }> => {
        session.write(`${line}\r\n`);
        return session.reply();
      };
      for (const one of replies) {
        const sender = await say('MAIL FROM:<>');
        one.reply = sender.code >= 300 ? sender : await say(`RCPT TO:<${one.address}>`);
        await say('RSET');
      }
    } finally {
      clearTimeout(late);
      session.quit();
    }
  } catch {
    // What was answered until then stands.
  }
  return replies;
}

async function fileAt(fetch: SafeFetch, url: string, maxBytes: number): Promise<FileSeen> {
  try {
    const outcome = await fetch.download(url, maxBytes);
    if (outcome.kind === 'answered' && outcome.status === 200)
      return outcome.bytes === null
        ? { kind: 'gone', reason: `is larger than ${Math.floor(maxBytes / 1024)} KB` }
        : { kind: 'read', bytes: outcome.bytes, contentType: outcome.contentType };
    if (outcome.kind === 'answered') return { kind: 'gone', reason: `answers ${outcome.status}` };
    if (outcome.kind === 'refused') return { kind: 'gone', reason: `is not asked: ${outcome.reason}` };
    return { kind: 'unread', reason: outcome.reason };
  } finally {
    await fetch.close();
  }
}
