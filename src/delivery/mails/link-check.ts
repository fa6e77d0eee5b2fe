import { isDeceptiveLink } from '../../tracking/click-target.js';
import { unescapeAttribute } from './mail-links.js';

const HREF = /\shref\s*=\s*(?:"([^"]*)"|'([^']*)')/gi;

/** The first link that would run a script or lead elsewhere than a person reads, unescaped, and where it stands. */
export function deceptiveLink(source: string): { href: string; index: number } | null {
  for (const match of source.matchAll(HREF)) {
    const href = unescapeAttribute(match[1] ?? match[2] ?? '');
    if (isDeceptiveLink(href)) return { href, index: match.index };
  }
  return null;
}
