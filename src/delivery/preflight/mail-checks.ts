import type { Level } from '../domains/finding.js';
import { hasForeignTag } from '../mails/foreign-tags.js';
import { flat, hiddenDuties } from '../mails/hidden-duties.js';
import { hrefOf } from '../mails/mail-links.js';
import { shownParts, type ShownParts } from '../mails/shown-parts.js';
import type { MailPlace } from '../mails/written-mail.js';
import { isOpenable } from '../../tracking/click-target.js';
import { urlOf } from '../../values/url.js';
import { sharedOwnPage } from './share-link.js';

export interface PreflightFinding extends MailPlace {
  check:
    | 'template'
    | 'variables'
    | 'audience'
    | 'text'
    | 'sender'
    | 'unsubscribe'
    | 'size'
    | 'links'
    | 'clients'
    | 'dns'
    | 'signature';
  level: Level;
  message: string;
  /** Ids of some of the people it is about. */
  subscribers?: string[];
}

/** Gmail shows this much of the HTML, then a link to the rest, with the unsubscribe link behind it. */
const GMAIL_CLIP_BYTES = 102 * 1024;
const SIZE_WARNING_BYTES = 90 * 1024;
const TOLD = 'which is told who reads the mail and when';
/** Pictures that MJML has loaded from others unless it is told of one's own. */
const MJMLS_OWN_PICTURES = [
  {
    from: /\ssrc\s*=\s*["']https:\/\/www\.mailjet\.com\/images\/theme\//i,
    message: `icons of mj-social come from www.mailjet.com, ${TOLD}; give each mj-social-element a src of your own`,
    found: /<mj-social-element\b(?![^<>]{0,1000}\ssrc\s*=)/,
  },
  {
    from: /\ssrc\s*=\s*["']https:\/\/i\.imgur\.com\/(?:xTh3hln|os7o9kz)\./,
    message: `the arrows of mj-carousel come from i.imgur.com, ${TOLD}; give it a left-icon and a right-icon of your own`,
    found: /<mj-carousel(?=[\s>])/,
  },
  {
    from: /\ssrc\s*=\s*["']https:\/\/i\.imgur\.com\/(?:bIXv1bk|w4uTygT)\./,
    message: `icons of mj-accordion come from i.imgur.com, ${TOLD}; give it an icon-wrapped-url and an icon-unwrapped-url of your own`,
    found: /<mj-accordion(?=[\s>])/,
  },
];
const SHORTEST_TEXT = 40;
/** `1 Main St, Ely` */
const SHORTEST_ADDRESS = 10;
const PLACEHOLDER = /^(?:your (?:postal )?address|my address|address|todo|tbd|n\/a|none|xxx+|lorem ipsum)\b/i;

interface CheckedMail {
  html: string;
  text: string;
  unsubscribeUrl: string;
  /** Who the law wants named in marketing mail, with the address below. */
  senderName: string;
  postalAddress: string;
  marketing: boolean;
}

/** A finding with what to look for in the source. */
export type Located = PreflightFinding & { found?: string | RegExp };

/** What is wrong with a mail as one reader gets it; [] when nothing is. */
export function mailFindings(mail: CheckedMail): Located[] {
  const shown = shownParts(mail.html);
  const owed = mail.marketing ? duties(mail, shown) : [];
  return [
    ...sizeFindings(mail),
    ...textFindings(mail),
    ...imageFindings(mail.html),
    ...owed,
    // Most often the same words.
    ...(owed.some(({ level }) => level === 'fail') ? [] : flatFindings(shown)),
  ];
}

/** What Chromium and others show as nothing: the text part has it. */
function flatFindings({ flat: [words, ...others] }: ShownParts): Located[] {
  if (words === undefined) return [];
  const more = others.length === 0 ? '' : ` (and ${others.length} more)`;
  const message = `readers cannot see "${words.slice(0, 60)}"${more}: its letters are 0 pixels high, as around them; give them a font-size, or use <mj-text>`;
  return [{ check: 'clients', level: 'warn', message, found: literally(words) }];
}

/** A pattern of just these words. */
export function literally(text: string): RegExp {
  return new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
}

/** Whether readers see what the law wants them to see: a way out, who writes, and where they are. */
function duties(
  { html, unsubscribeUrl, senderName, postalAddress }: CheckedMail,
  shown: ShownParts,
): PreflightFinding[] {
  const findings = hiddenDuties(shown, { unsubscribeUrl, postalAddress }).map(
    ({ what, message }): PreflightFinding => ({
      check: what === 'way out' ? 'unsubscribe' : 'sender',
      level: 'fail',
      message,
    }),
  );
  findings.push(...onScreens(html, { unsubscribeUrl, postalAddress }, findings));
  if (PLACEHOLDER.test(postalAddress.trim()) || flat(postalAddress).length < SHORTEST_ADDRESS)
    findings.push({
      check: 'sender',
      level: 'warn',
      message: `"${postalAddress.trim()}" is no postal address that mail would reach`,
    });
  if (!flat(shown.text).includes(flat(senderName)))
    findings.push({
      check: 'sender',
      level: 'warn',
      message: `the mail does not say who it is from: print {{ sender.name }}, the name that you do business under`,
    });
  return findings;
}

/** A warning, as a style sheet may have more rules for that screen than are read here. */
function onScreens(
  html: string,
  duties: Pick<CheckedMail, 'unsubscribeUrl' | 'postalAddress'>,
  hidden: readonly PreflightFinding[],
): PreflightFinding[] {
  if (hidden.length > 0) return [];
  return (['phone', 'dark'] as const).flatMap((screen) =>
    hiddenDuties(shownParts(html, screen), duties).map(({ what, message }): PreflightFinding => ({
      check: what === 'way out' ? 'unsubscribe' : 'sender',
      level: 'warn',
      message: `${screen === 'phone' ? 'on phones' : 'in dark mode'} ${message}`,
    })),
  );
}

function sizeFindings({ html }: CheckedMail): PreflightFinding[] {
  const bytes = Buffer.byteLength(html);
  const size = `the HTML has ${Math.ceil(bytes / 1024)} KB with its links`;
  if (bytes > GMAIL_CLIP_BYTES)
    return [{ check: 'size', level: 'fail', message: `${size}; Gmail cuts it at 102 KB` }];
  if (bytes > SIZE_WARNING_BYTES)
    return [
      { check: 'size', level: 'warn', message: `${size}; Gmail cuts at 102 KB, which a long name may reach` },
    ];
  return [];
}

function textFindings({ text, unsubscribeUrl, postalAddress, marketing }: CheckedMail): PreflightFinding[] {
  if (text.trim() === '') return [{ check: 'text', level: 'fail', message: 'the plain text part is empty' }];
  const findings: PreflightFinding[] = [];
  if (text.trim().length < SHORTEST_TEXT)
    findings.push({ check: 'text', level: 'warn', message: 'the plain text part says next to nothing' });
  if (marketing && !text.includes(unsubscribeUrl))
    findings.push({
      check: 'unsubscribe',
      level: 'warn',
      message: 'the plain text part has no link to unsubscribe',
    });
  // The text is wrapped, so an address may be broken over two lines.
  if (marketing && !flat(text).includes(flat(postalAddress)))
    findings.push({ check: 'sender', level: 'warn', message: 'the plain text part has no postal address' });
  return findings;
}

function imageFindings(html: string): Located[] {
  const findings: Located[] = [];
  const pictures = [...html.matchAll(/<img\b[^<>]{0,1000}>/gi)].map(([tag]) => tag);
  const without = pictures.filter((tag) => !/\salt\s*=/i.test(tag));
  if (without.length > 0)
    findings.push({
      check: 'clients',
      level: 'warn',
      message: `${without.length} pictures have no alt text, which is what many readers see first`,
    });
  for (const { from, message, found } of MJMLS_OWN_PICTURES)
    if (pictures.some((tag) => from.test(tag)))
      findings.push({ check: 'clients', level: 'warn', message, found });
  return findings;
}

/**
 * Addresses in the mail that can be asked, and findings about those that no mail should hold, with those that were left out
 * of it. Each is told of once, with the attribute to look for in the source.
 */
export function linksOf(
  html: string,
  ownOrigin: string,
  leftOut: readonly string[] = [],
): { urls: string[]; findings: LinkFinding[] } {
  const urls = new Set<string>();
  const findings = new Map<string, LinkFinding>();
  const tell = (problem: LinkProblem, found?: string): void => {
    const { message } = problem;
    const known = findings.get(message) ?? { check: 'links', ...problem, ...(found && { found }), times: 0 };
    findings.set(message, { ...known, times: known.times + 1 });
  };
  for (const url of leftOut)
    tell(problemOf(url, true, ownOrigin) ?? { level: 'fail', message: `${url} is no address` });
  for (const [tag, attribute = '', double, single] of html.matchAll(
    /<(?:a|img)\b[^<>]{0,1000}?\s(href|src)\s*=\s*(?:"([^"]*)"|'([^']*)')/gi,
  )) {
    const written = double ?? single ?? '';
    const url = hrefOf(written);
    // Told of with the variables.
    if (hasForeignTag(url)) continue;
    const bad = problemOf(url, attribute.toLowerCase() === 'href', ownOrigin);
    const quote = tag.at(-1) ?? '';
    if (bad !== null) tell(bad, bad.found ?? `${attribute}=${quote}${written}${quote}`);
    else if (/^https?:/i.test(url)) urls.add(url);
  }
  return { urls: [...urls], findings: [...findings.values()] };
}

/** `found`: to find the line in the source, where it stands there as it is. */
export type LinkFinding = PreflightFinding & { found?: string; times: number };
type LinkProblem = Pick<PreflightFinding, 'message'> & { level: 'warn' | 'fail'; found?: string };

function problemOf(url: string, isLink: boolean, ownOrigin: string): LinkProblem | null {
  if (url === '' || url === '#')
    return { level: 'fail', message: isLink ? 'a link leads nowhere' : 'a picture has no address' };
  if (isLink && url.startsWith('#'))
    return {
      level: 'warn',
      message: `${url.slice(0, 80)} leads to a place in the mail, which many programs cannot go to`,
    };
  if (isLink && /^(?:mailto|tel|sms):$/i.test(url))
    return { level: 'fail', message: `${url} leads nowhere: nobody stands behind it` };
  if (isLink && !/^https?:/i.test(url) && isOpenable(url)) return null;
  if (/^http:/i.test(url) && !url.startsWith(ownOrigin))
    return { level: 'warn', message: `${url} is not https` };
  if (/^https?:/i.test(url)) {
    const address = urlOf(url);
    return address === null ? { level: 'fail', message: `${url} is no address` } : shareProblem(address);
  }
  // What is inside a picture's data: is the business of the client table.
  if (!isLink && /^(?:data|cid):/i.test(url)) return null;
  return { level: 'fail', message: `${url.slice(0, 80)} is none of https, mailto and tel` };
}

function shareProblem(link: URL): LinkProblem | null {
  const shared = sharedOwnPage(link);
  if (shared === null) return null;
  const { name, page } = shared;
  const message = `a link has readers share ${page} with others, and does not lead them there: MJML does so by name="${name}"; name="${name}-noshare" leads there`;
  return { level: 'warn', message, found: page };
}
