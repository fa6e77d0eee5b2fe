/**
 * Providers of personal mailboxes: nobody else can send in their name (their DMARC policy says so, or will). Our own list,
 * because those that are published (email-providers, free-email-domains) are made to judge visitors' addresses: they hold
 * thousands of names, among them companies that send mail of their own (facebook.com, alibaba.com, name.com), whom this
 * would call mailboxes, and lack gmx.ch and fastmail.com. A name that is missing here costs a hint, one too many a start.
 */
const FREEMAIL: ReadonlySet<string> = new Set(
  (
    'gmail.com googlemail.com outlook.com hotmail.com live.com msn.com passport.com yahoo.com ymail.com rocketmail.com ' +
    'aol.com aim.com verizon.net icloud.com me.com mac.com gmx.com gmx.net gmx.de gmx.at gmx.ch gmx.fr gmx.eu gmx.co.uk web.de t-online.de ' +
    'freenet.de mail.com email.com mail.ru bk.ru inbox.ru list.ru yandex.com yandex.ru ya.ru proton.me protonmail.com ' +
    'pm.me zoho.com fastmail.com hey.com tutanota.com tutanota.de tuta.io tuta.com posteo.de mailbox.org zoho.eu proton.ch protonmail.ch qq.com foxmail.com 163.com 126.com sina.com naver.com ' +
    'daum.net hanmail.net orange.fr wanadoo.fr free.fr laposte.net sfr.fr libero.it virgilio.it alice.it tin.it ' +
    'wp.pl o2.pl onet.pl interia.pl seznam.cz uol.com.br bol.com.br terra.com.br rediffmail.com ukr.net bluewin.ch telenet.be skynet.be centrum.cz abv.bg ntlworld.com comcast.net att.net ' +
    'sbcglobal.net bellsouth.net cox.net charter.net btinternet.com sky.com virginmedia.com rogers.com shaw.ca ' +
    'bigpond.com optusnet.com.au xtra.co.nz'
  ).split(' '),
);
/** These have a domain in each country. */
const FAMILIES = /^(?:yahoo|hotmail|live|outlook)\.(?:[a-z]{2}|com?\.[a-z]{2})$/;

export function isFreemail(domain: string): boolean {
  return FREEMAIL.has(domain) || FAMILIES.test(domain);
}
