import { describe, expect, it } from 'vitest';
import { foreignTags, hintOf } from '../../../../src/delivery/mails/foreign-tags.js';

const said = (text: string): string[] => foreignTags(text, 'sequence').map(({ message }) => message);

describe('a mail that was brought from another system', () => {
  it.each([
    ['Hi *|FNAME|*,', '*|FNAME|*', 'subscriber.firstName'],
    ['<a href="*|UNSUB|*">out</a>', '*|UNSUB|*', 'unsubscribeUrl'],
    ['*|LIST:ADDRESS|*', '*|LIST:ADDRESS|*', 'sender.postalAddress'],
    ['*|LIST:COMPANY|*', '*|LIST:COMPANY|*', 'sender.name'],
    ['Hi %recipient.first_name%', '%recipient.first_name%', 'subscriber.firstName'],
    ['Hi %recipient.name%', '%recipient.name%', 'subscriber.name'],
    ['<a href="%unsubscribe_url%">', '%unsubscribe_url%', 'unsubscribeUrl'],
    ['Hi %FIRSTNAME%', '%FIRSTNAME%', 'subscriber.firstName'],
    ['%%{unsubscribe_url}%%', '%%{unsubscribe_url}%%', 'unsubscribeUrl'],
    ['Hi %%first_name%%', '%%first_name%%', 'subscriber.firstName'],
    ['Hi [[firstname]]', '[[firstname]]', 'subscriber.firstName'],
    ['Hi [[data:firstname:"you"]]', '[[data:firstname:"you"]]', 'subscriber.firstName'],
    ['Hi [firstname,fallback=there]', '[firstname,fallback=there]', 'subscriber.firstName'],
    [
      'Hi [subscriber:firstname | default:reader]',
      '[subscriber:firstname | default:reader]',
      'subscriber.firstName',
    ],
    [
      '<a href="[link:subscription_unsubscribe_url]">',
      '[link:subscription_unsubscribe_url]',
      'unsubscribeUrl',
    ],
    ['Hi {!firstname_fix}', '{!firstname_fix}', 'subscriber.firstName'],
    ['<a href="{$unsubscribe}">', '{$unsubscribe}', 'unsubscribeUrl'],
    ['<a href="[unsubscribe]">', '[unsubscribe]', 'unsubscribeUrl'],
    ["<a class='b' href='http://[unsubscribe]'>", '[unsubscribe]', 'unsubscribeUrl'],
    ['[unsubscribe] or <a href="[unsubscribe]">', '[unsubscribe]', 'unsubscribeUrl'],
    ['Why {$unsubscribe}: <a href="{$unsubscribe}">', '{$unsubscribe}', 'unsubscribeUrl'],
    ['Hi {contactfield=firstname}', '{contactfield=firstname}', 'subscriber.firstName'],
    ['<a href="{unsubscribe_url}">', '{unsubscribe_url}', 'unsubscribeUrl'],
    ['Hi {first_name, "there"}', '{first_name, "there"}', 'subscriber.firstName'],
    ['Hi <%= first_name %>', '<%= first_name %>', 'subscriber.firstName'],
    ['Hi ~Contact.FirstName~', '~Contact.FirstName~', 'subscriber.firstName'],
    ['<unsubscribe>Leave</unsubscribe>', '<unsubscribe>', 'unsubscribeUrl'],
  ])('is told of its tags, and what they are called here: %s', (text, tag, ours) => {
    expect(said(text)).toEqual([
      `${tag} is a tag of another mail system, which readers would see as it stands; here it is {{ ${ours} }}`,
    ]);
  });

  it.each([
    ['Why {$count} is 1, and how {$name} came to be', ['{$count}', '{$name}']],
    ['In PHP, "Hello {$firstName}" prints a name', ['{$firstName}']],
    ['My notes on [[Name]]', ['[[Name]]']],
    ['It ends in {!done}', ['{!done}']],
    ['%%sale ends%%', ['%%sale ends%%']],
    ['[link: see below]', ['[link: see below]']],
    ['<a href="https://example.com/?a={$x}">', ['{$x}']],
  ])('is warned of what may stand there on purpose, and not stopped: %s', (text, tags) => {
    expect(foreignTags(text, 'sequence').map(({ tag, isSure }) => ({ tag, isSure }))).toEqual(
      tags.map((tag) => ({ tag, isSure: false })),
    );
    expect(said(text)[0]).toContain(`${tags[0]} looks like a tag of another mail system`);
  });

  it('hears of each tag once, and of a field of its owner’s own', () => {
    expect(said('*|CITY|* *|FNAME|* *|CITY|*').map((one) => one.split(' ')[0])).toEqual([
      '*|CITY|*',
      '*|FNAME|*',
    ]);
    expect(said('*|CITY|*')[0]).toContain('a field of your own is {{ subscriber.fields.NAME }} here');
  });

  it.each([
    'Hi {{ subscriber.firstName }}, {% if subscriber.name %}you{% endif %}',
    '<a href="{{ unsubscribeUrl }}">[Unsubscribe]</a> <a href="https://example.com/">[webversion]</a>',
    'To show it, write {{ "*|FNAME|*" }}',
    '<style>a[name] { color: red } [unsubscribe] { top: 0 }</style>',
    '<mj-style>input[email]{width:50%}p{margin:0 5%}</mj-style>',
    '<!--[if mso]>*|FNAME|*<![endif]-->',
    'Save 50% today, and 20% more on {Monday} [1] [a note] [[2]] -first-',
    '<a href="https://example.com/caf%C3%A9%20name%20x%?a=%2Fname%2F">x</a>',
    'Look at [the list](https://example.com/) and 5 < 6 % 7 > 3',
  ])('is not said of %s', (text) => {
    expect(said(text)).toEqual([]);
  });

  it.each([
    ['first_name', 'subscriber.firstName'],
    ['contact.FIRSTNAME', 'subscriber.firstName'],
    ['Subscriber.FirstName', 'subscriber.firstName'],
    ['UnsubscribeURL', 'unsubscribeUrl'],
    ['unsubscribe_link', 'unsubscribeUrl'],
    ['name', 'subscriber.name'],
    ['contact.email', 'subscriber.email'],
    ['company_name', 'sender.name'],
  ])('has {{ %s }}, which is {{ %s }} here', (name, ours) => {
    expect(hintOf(name, 'sequence')).toBe(`; here it is {{ ${ours} }}`);
  });

  it('is offered nothing that its kind of mail does not have', () => {
    expect(hintOf('unsubscribe_url', 'receipt')).toBe('');
    expect(hintOf('order.total', 'sequence')).toBe('');
  });

  it.each([
    '<style',
    '<!--',
    '*|A',
    '%%a',
    '[[data:',
    '{contactfield=',
    '<%= ',
    '<unsubscribe ',
    ' href="',
    '[x, fallback=',
  ])('is read in a moment, whatever stands in it again and again: %s', (part) => {
    const began = process.cpuUsage();
    said(`<a href="${' '.repeat(390_000)}${part}`);
    said(part.repeat(Math.floor(390_000 / part.length)));
    said(part.repeat(100) + ' '.repeat(390_000));
    const { user, system } = process.cpuUsage(began);
    expect((user + system) / 1000).toBeLessThan(5_000);
  });
});
