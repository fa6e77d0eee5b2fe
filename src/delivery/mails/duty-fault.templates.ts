import { hiddenDuties } from './hidden-duties.js';
import { fillIn, parseHtmlPart } from './liquid.templates.js';
import type { MailTemplate } from './mjml.templates.js';
import type { Sender } from '../message/message.js';
import { sampleData } from './sample-data.js';
import { shownParts } from './shown-parts.js';
import { funnelVariables, type MailKind } from './template-variables.js';

const BASE_URL = 'https://example.com';
const UNSUBSCRIBE_URL = `${BASE_URL}/u/x`;

/**
 * Why a reader of whom nothing but a name is known would not see what marketing mail must show; null: they would. What fails
 * to be filled in is found by others.
 */
export function dutyFault(
  { html }: Pick<MailTemplate, 'html'>,
  { kind, sender, funnelTitle }: { kind: MailKind; sender: Sender; funnelTitle: string },
): string | null {
  const values = {
    ...sampleData(kind, BASE_URL, new Date(0)),
    ...{ sender, baseUrl: BASE_URL, unsubscribeUrl: UNSUBSCRIBE_URL },
    preferencesUrl: `${BASE_URL}/preferences/x`,
    subscriber: { email: 'reader@example.com', name: 'Grace Hopper', firstName: 'Grace', fields: {} },
    funnel: funnelVariables(funnelTitle),
  };
  try {
    const shown = shownParts(fillIn(parseHtmlPart(html), values));
    const duties = { unsubscribeUrl: UNSUBSCRIBE_URL, postalAddress: sender.postalAddress };
    return hiddenDuties(shown, duties)[0]?.message ?? null;
  } catch {
    return null;
  }
}
