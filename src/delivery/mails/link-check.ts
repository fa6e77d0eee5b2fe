import { isDeceptiveLink } from '../../tracking/click-target.js';
import { hrefOf, QUOTED } from './mail-links.js';

/** Also without quotation marks, and right behind another attribute: browsers take both. */
const HREF = new RegExp(`[\\s"'/]href\\s*=\\s*(?:${QUOTED}|([^\\s"'>]+))`, 'gi');

/** The first link that would run a script or lead elsewhere than a person reads, and where it stands. */
export function deceptiveLink(source: string): { href: string; index: number } | null {
  for (const match of source.matchAll(HREF)) {
    const href = hrefOf(match[1] ?? match[2] ?? match[3] ?? '');
    if (isDeceptiveLink(href)) return { href, index: match.index };
  }
  return null;
}
