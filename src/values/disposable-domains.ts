/**
 * Well-known providers of mailboxes that live for minutes, and the further domains under which they are reached. Not
 * complete, and not meant to be: new ones appear daily, so this is for counting and advice, never for refusing.
 */
const DISPOSABLE: ReadonlySet<string> = new Set(
  (
    '0-mail.com 10minutemail.com 10minutemail.net 20minutemail.com 33mail.com anonbox.net burnermail.io ' +
    'byom.de deadaddress.com discard.email discardmail.com dispostable.com dropmail.me emailondeck.com ' +
    'fakeinbox.com fakemail.net getairmail.com getnada.com grr.la guerrillamail.biz guerrillamail.com ' +
    'guerrillamail.de guerrillamail.info guerrillamail.net guerrillamail.org guerrillamailblock.com harakirimail.com ' +
    'inboxbear.com inboxkitten.com incognitomail.org jetable.org mail-temp.com mail-temporaire.fr mailcatch.com ' +
    'maildrop.cc mailexpire.com mailforspam.com mailinator.com mailinator.net mailinator2.com mailnesia.com ' +
    'mailnull.com mailsac.com mailtemp.info minuteinbox.com mintemail.com moakt.com mohmal.com mytemp.email ' +
    'mytrashmail.com nada.email nowmymail.com pokemail.net sharklasers.com sofort-mail.de spam4.me spambog.com ' +
    'spambox.us spamex.com spamfree24.org spamgourmet.com spamhole.com spamspot.com tempail.com temp-mail.io ' +
    'temp-mail.org tempinbox.com tempmail.de tempmail.dev tempmail.net tempmailaddress.com tempmailo.com tempr.email ' +
    'throwam.com throwawaymail.com trash-mail.com trashmail.at trashmail.com trashmail.de trashmail.me trashmail.net ' +
    'wegwerfemail.de wegwerfmail.de wegwerfmail.net yopmail.com yopmail.fr yopmail.net zehnminutenmail.de'
  ).split(' '),
);

/** Whether a domain, or one that it lies below, is known for throw-away mailboxes. In lower case, as A-labels. */
export function isDisposableDomain(domain: string): boolean {
  const labels = domain.split('.');
  return labels.some((_, index) => DISPOSABLE.has(labels.slice(index).join('.')));
}
