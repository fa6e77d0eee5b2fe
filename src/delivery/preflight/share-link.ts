import { urlOf } from '../../values/url.js';

/** How MJML has the address of an `<mj-social-element>` of this name shared, and where the pages of that network are. */
const NETWORKS: readonly { name: string; share: string; parameter: string; hosts: RegExp }[] = [
  {
    ...{ name: 'facebook', share: 'www.facebook.com/sharer/sharer.php', parameter: 'u' },
    hosts: /(?:^|\.)(?:facebook\.com|fb\.com|fb\.me)$/,
  },
  {
    ...{ name: 'x', share: 'twitter.com/intent/tweet', parameter: 'url' },
    hosts: /(?:^|\.)(?:x\.com|twitter\.com)$/,
  },
  {
    ...{ name: 'linkedin', share: 'www.linkedin.com/shareArticle', parameter: 'url' },
    hosts: /(?:^|\.)linkedin\.com$/,
  },
  {
    ...{ name: 'pinterest', share: 'pinterest.com/pin/create/button/', parameter: 'url' },
    hosts: /(?:^|\.)pinterest\.[a-z]+(?:\.[a-z]+)?$/,
  },
  {
    ...{ name: 'tumblr', share: 'www.tumblr.com/widgets/share/tool', parameter: 'canonicalUrl' },
    hosts: /(?:^|\.)tumblr\.com$/,
  },
  {
    ...{ name: 'xing', share: 'www.xing.com/app/user', parameter: 'url' },
    hosts: /(?:^|\.)xing\.com$/,
  },
];

/**
 * The page of a network that a link has readers share in that network, in place of leading them there: nearly always meant
 * as "follow me". Null: it is no such link. `name`: what MJML calls the network, where `-noshare` behind it leads to the page.
 */
export function sharedOwnPage(link: URL): { name: string; page: string } | null {
  for (const { name, share, parameter, hosts } of NETWORKS) {
    if (link.host + link.pathname !== share) continue;
    const page = link.searchParams.get(parameter) ?? '';
    if (hosts.test(urlOf(page)?.hostname ?? '')) return { name, page };
  }
  return null;
}
