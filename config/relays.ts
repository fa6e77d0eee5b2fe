import { domainToASCII } from 'node:url';
import { readCaFile } from './ca-file.js';
import { PROVIDERS, providerOf, type MailProvider } from '../src/values/mail-providers.js';
import { isDecodable, urlOf } from '../src/values/url.js';

/** One SMTP relay of SMTP_URL. */
export interface RelaySettings {
  /** Unique; stands beside each mail it took, in alerts and on the admin page. The host unless `name` says otherwise. */
  name: string;
  /** With user and password, without our options: never print it. */
  url: string;
  /** Its share of the mails among relays that work; 0: used only when no other works. */
  weight: number;
  /** Connections of each worker at the same time, so that two workers open twice as many; null: as many as the sender opens by itself. */
  lanes: number | null;
  /** Whose relay it is, as far as that is known: mails get the provider's tag, so that its webhooks name them. */
  provider: MailProvider | null;
  /** Null: STARTTLS and a certificate that holds, except on this machine. */
  tls: RelayTls | null;
  /** Certificates in PEM, which alone vouch for the relay's; null: those that Node.js brings. */
  ca: string | null;
}

/** How a relay is known to be the one that is meant. */
export type RelayTrust = Pick<RelaySettings, 'tls' | 'ca'>;

/**
 * `required`: encrypted, with a certificate that holds. `insecure`: encrypted, and whoever answers is believed: for a relay
 * with a certificate of its own. `none`: readable by all on the way, so never with a password.
 */
export type RelayTls = (typeof TLS)[number];

const TLS = ['required', 'insecure', 'none'] as const;

const OPTIONS = ['weight', 'lanes', 'name', 'provider', 'tls', 'ca'] as const;
const ON_THIS_MACHINE = new Set(['127.0.0.1', 'localhost', '[::1]']);
const MAX_WEIGHT = 1000;
const MAX_LANES = 256;
/** A comma may stand in a password: it ends a URL only before the next one. */
const BETWEEN = /[\s,]+(?=[a-z][a-z+.-]*:\/\/)/i;

/**
 * Reads `smtp://user:password@host:port?weight=2&lanes=8&name=main`, several of them separated by white space or commas.
 * `problems` never show a URL: it holds a password.
 */
export function parseRelays(text: string): { relays: RelaySettings[]; problems: string[] } {
  const parts = text.replace(/^[\s,]+|[\s,]+$/g, '').split(BETWEEN);
  const problems: string[] = [];
  const relays = parts.flatMap((part, index) => {
    const say = (problem: string): void => {
      problems.push(parts.length === 1 ? problem : `relay ${index + 1}: ${problem}`);
    };
    return parseRelay(part, say) ?? [];
  });
  const names = relays.map(({ name }) => name);
  for (const name of new Set(names.filter((one, index) => names.indexOf(one) !== index)))
    problems.push(`two relays are called ${name}: give each its own ?name=`);
  return { relays, problems };
}

function parseRelay(part: string, say: (problem: string) => void): RelaySettings | null {
  const url = urlOf(part);
  if (url === null || !['smtp:', 'smtps:'].includes(url.protocol)) {
    say('use a URL that starts with smtp:// or smtps://');
    return null;
  }
  // URLs of mail leave the letters of a host as they are, escaped: no name that DNS or a certificate knows.
  url.hostname = asciiHost(url.hostname);
  let good = true;
  const refuse = (problem: string): void => {
    good = false;
    say(problem);
  };
  if (url.hostname === '') refuse('the host is missing');
  if (!isDecodable(url.username) || !isDecodable(url.password))
    refuse('write a % in user or password as %25');
  if (!['', '/'].includes(url.pathname) || url.hash !== '')
    refuse('nothing but ?weight=, ?lanes=, ?name=, ?provider=, ?tls= and ?ca= may follow the host');
  for (const key of new Set(url.searchParams.keys())) {
    if (!OPTIONS.some((option) => option === key))
      refuse(`unknown option "${key.slice(0, 40)}"; use ${OPTIONS.join(', ')}`);
    else if (url.searchParams.getAll(key).length > 1) refuse(`${key} is given twice`);
  }
  const weight = wholeNumber(url.searchParams.get('weight') ?? '1', 0, MAX_WEIGHT);
  if (weight === null) refuse(`weight is a whole number from 0 to ${MAX_WEIGHT}`);
  const lanesText = url.searchParams.get('lanes');
  const lanes = lanesText === null ? null : wholeNumber(lanesText, 1, MAX_LANES);
  if (lanesText !== null && lanes === null) refuse(`lanes is a whole number from 1 to ${MAX_LANES}`);
  const name = url.searchParams.get('name') ?? url.hostname;
  if (url.searchParams.has('name') && !/^[a-z0-9][a-z0-9._-]{0,62}$/i.test(name))
    refuse('name is 1 to 63 letters, digits, dots, hyphens or underscores');
  const said = url.searchParams.get('provider');
  const provider = said === null ? providerOf(url.hostname) : (PROVIDERS.find((one) => one === said) ?? null);
  if (said !== null && said !== 'none' && provider === null)
    refuse(`provider is one of ${PROVIDERS.join(', ')}, none`);
  const tls = tlsOf(url, refuse);
  const ca = caOf(url, refuse);
  url.search = '';
  return good ? { name, url: url.href, weight: weight ?? 1, lanes, provider, tls, ca } : null;
}

/** `bücher.example` as `xn--bcher-kva.example`; anything that is no such name stays as it is. */
function asciiHost(hostname: string): string {
  if (!hostname.includes('%') || !isDecodable(hostname)) return hostname;
  return domainToASCII(decodeURIComponent(hostname)) || hostname;
}

function tlsOf(url: URL, refuse: (problem: string) => void): RelayTls | null {
  const said = url.searchParams.get('tls');
  if (said === null) return null;
  const tls = TLS.find((one) => one === said);
  if (tls === undefined) refuse(`tls is one of ${TLS.join(', ')}`);
  else if (tls === 'none' && url.protocol === 'smtps:')
    refuse('tls=none does not go with smtps://; write smtp://');
  else if (tls === 'none' && url.username + url.password !== '' && !ON_THIS_MACHINE.has(url.hostname))
    refuse('tls=none would send user and password readable; use tls=insecure for a certificate of its own');
  return tls ?? null;
}

/** Read once, at the start. */
function caOf(url: URL, refuse: (problem: string) => void): string | null {
  const path = url.searchParams.get('ca');
  if (path === null) return null;
  const tls = url.searchParams.get('tls') ?? 'required';
  if (tls !== 'required') refuse(`ca goes with tls=required: with tls=${tls} nobody's word is asked`);
  const read = path === '' ? { problem: 'ca is the path of a file in PEM' } : readCaFile(path);
  if ('pem' in read) return read.pem;
  refuse(read.problem);
  return null;
}

function wholeNumber(text: string, least: number, most: number): number | null {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  return value >= least && value <= most ? value : null;
}
