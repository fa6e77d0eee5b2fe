import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { guessTargets, readColumns } from '../../../src/imports/columns.js';
import { exportCell, readCell } from '../../../src/imports/export-cell.js';
import { readRow, type RowOptions, splitNames } from '../../../src/imports/import-row.js';
import { readInstant } from '../../../src/imports/instant.js';
import { readFieldText } from '../../../src/subscribers/field.js';
import { namesText } from '../../../src/values/name-list.js';

const DEFINITIONS = new Map([
  ['plan', { key: 'plan', label: 'Plan name', type: 'text' as const, choices: [] }],
  ['age', { key: 'age', label: 'Age', type: 'number' as const, choices: [] }],
  ['vip', { key: 'vip', label: 'VIP', type: 'boolean' as const, choices: [] }],
]);
const NOW = new Date('2026-03-02T09:00:00Z');

function row(
  headers: string,
  cells: string,
  rest: Partial<RowOptions> = {},
  mapping: Record<string, string> = {},
) {
  const read = readColumns(headers.split('|'), mapping, DEFINITIONS);
  if (!read.ok) throw new Error(JSON.stringify(read.problems));
  return readRow(cells.split('|'), {
    ...{
      columns: read.columns,
      definitions: DEFINITIONS,
      status: 'pending',
      dateOrder: null,
      tags: [],
      lists: [],
    },
    ...{
      listKeys: new Set(['news']),
      topicKeys: new Set(['niche-ebook']),
      hasConsent: false,
      now: NOW,
      ...rest,
    },
  });
}

describe('the tables of other products', () => {
  it.each([
    [
      'mailchimp',
      'Email Address|First Name|Last Name|MEMBER_RATING|OPTIN_TIME|OPTIN_IP|CONFIRM_TIME|CONFIRM_IP|LEID|NOTES|TAGS',
      'Ada@Example.com|Ada|Lovelace|2|2024-01-02 03:04:05|203.0.113.9|2024-01-02 03:05:00|203.0.113.9|1||"a","b, c"',
      {
        status: 'active',
        name: 'Ada Lovelace',
        emailKey: 'ada@example.com',
        consentAt: new Date('2024-01-02T03:04:05Z'),
        consentIp: '203.0.113.9',
        confirmedAt: new Date('2024-01-02T03:05:00Z'),
        tags: ['a', 'b, c'],
      },
    ],
    [
      'mailchimp',
      'Email Address|OPTIN_TIME|UNSUB_TIME|UNSUB_REASON',
      'a@example.com||2024-05-06 07:08:09|N/A',
      { status: 'unsubscribed', leftAt: new Date('2024-05-06T07:08:09Z') },
    ],
    [
      'mailchimp',
      'Email Address|OPTIN_TIME|CLEAN_TIME',
      'a@example.com|0000-00-00 00:00:00|2024-05-06 07:08:09',
      { status: 'bounced' },
    ],
    [
      'kit',
      'first_name|email|created_at|status|plan|tags',
      'Ada|a@example.com|2024-01-02 03:04:05 UTC|confirmed|pro|x, y',
      { status: 'active', name: 'Ada', fields: { plan: 'pro' }, tags: ['x', 'y'] },
    ],
    [
      'kit',
      'first_name|email|created_at|status|tags',
      '|a@example.com|2024-01-02T03:04:05Z|cancelled|',
      { status: 'unsubscribed' },
    ],
    [
      'kit',
      'first_name|email|created_at|status|tags',
      '|a@example.com|2024-01-02T03:04:05Z|cold|',
      { status: 'pending' },
    ],
    [
      'mailerlite',
      'Subscriber|Name|Status|Subscribed|Signup IP|Confirmation IP',
      'a@example.com|Ada|Active|2024-01-02 03:04:05|203.0.113.9|',
      { status: 'active', consentIp: '203.0.113.9' },
    ],
    [
      'mailerlite',
      'Subscriber|Name|Last name|Signup timestamp|Signup IP|Confirmation timestamp|Confirmation IP|Subscribed',
      'a@example.com|Ada|Lovelace|2024-01-02 03:04:05|203.0.113.9|2024-01-02 04:04:05|203.0.113.8|2024-01-03 00:00:00',
      {
        name: 'Ada Lovelace',
        consentAt: new Date('2024-01-02T03:04:05Z'),
        confirmedAt: new Date('2024-01-02T04:04:05Z'),
        confirmedIp: '203.0.113.8',
      },
    ],
    [
      'mailerlite',
      'email|status|subscribed_at|ip_address|opted_in_at|optin_ip|unsubscribed_at|name|last_name',
      'a@example.com|unsubscribed|2024-01-02 03:04:05|203.0.113.9|||2024-02-03 10:00:00|Ada|Lovelace',
      {
        status: 'unsubscribed',
        name: 'Ada Lovelace',
        consentIp: '203.0.113.9',
        leftAt: new Date('2024-02-03T10:00:00Z'),
      },
    ],
    [
      'aweber',
      'email|name|ad_tracking|ip_address|status|subscribed_at|unsubscribed_at|verified_at|tags',
      'a@example.com|Ada|x|203.0.113.9|subscribed|2024-01-02T15:04:00Z||2024-01-02T15:05:00Z|x',
      { status: 'active', confirmedAt: new Date('2024-01-02T15:05:00Z'), tags: ['x'] },
    ],
    [
      'aweber',
      'Email|Name|Message|Ad Tracking|IP Address|Last Followup|Signed Up|Status|Stop Time|Tags',
      'a@example.com|Ada|1|x|203.0.113.9|2|1/2/2024 3:04 PM|Unsubscribed|02/03/24 10:00 AM|',
      {
        status: 'unsubscribed',
        consentAt: new Date('2024-01-02T15:04:00Z'),
        leftAt: new Date('2024-02-03T10:00:00Z'),
      },
    ],
    [
      'aweber',
      'Email|Name|Date Added|Stop Time|Stop Status|Misc|Ad Tracking|IP Address|Web Form URL|Country|Postal Code|Tags',
      'a@example.com|Ada|02/03/24 10:00am||0||x|203.0.113.9|||1|x,y',
      {
        status: 'pending',
        consentAt: new Date('2024-02-03T10:00:00Z'),
        consentIp: '203.0.113.9',
        tags: ['x', 'y'],
      },
    ],
    [
      'mailerlite',
      'Subscriber|Sent|Opens|Clicks|Subscribed|Location',
      'a@example.com|0|0|0|2026-02-15 19:20:35|United States',
      { status: 'pending', consentAt: new Date('2026-02-15T19:20:35Z') },
    ],
    [
      'other',
      'E-Mail|Name|AGE|Plan Name|shoe size',
      'a@example.com|Ada|41|pro|40',
      { status: 'pending', fields: { age: 41, plan: 'pro' } },
    ],
  ])('%s is known by its header', (shape, headers, cells, person) => {
    const read = readColumns(headers.split('|'), {}, DEFINITIONS);
    expect(read).toMatchObject({ ok: true, columns: { shape } });
    expect(row(headers, cells)).toMatchObject({ ok: true, person });
  });

  it.each([
    ['E-Mail|First name|Last name|Signed up'],
    ['E-Mail-Adresse|Vorname|Nachname|Angemeldet am'],
    ['Mail|Vorname|Name|Anmeldedatum'],
    ['Adresse e-mail|Prénom|Nom de famille|Date d’inscription'],
    ['Courriel|Prénom|Nom|Créé le'],
    ['Correo electrónico|Nombre|Apellidos|Fecha de alta'],
    ['E-mail|Nome|Sobrenome|Data de inscrição'],
    ['Indirizzo e-mail|Nome|Cognome|Data di iscrizione'],
    ['E-mailadres|Voornaam|Achternaam|Aangemeld op'],
    ['E-mail|Voornaam|Naam|Inschrijfdatum'],
  ])('are read by the usual names of their columns: %s', (headers) => {
    const targets = ['email', 'firstName', 'lastName', 'createdAt'];
    expect(guessTargets(headers.split('|'), DEFINITIONS)).toEqual({ shape: 'other', targets });
    expect(row(headers, 'a@example.com|Ada|Lovelace|2024-01-02')).toMatchObject({
      ...{ ok: true, withoutConsent: false },
      person: { name: 'Ada Lovelace', createdAt: new Date('2024-01-02T00:00:00Z'), consentAt: null },
    });
  });

  it.each(['Nom', 'Nombre', 'Nome', 'Naam', 'Name'])('%s alone is the name', (header) => {
    expect(guessTargets([header, 'Email'], DEFINITIONS).targets).toEqual(['name', 'email']);
  });

  it('lets the owner say which of two columns it is', () => {
    const mapping = { '#2': 'email', '#1': 'ignore' };
    expect(row('Email|Email', 'a@example.com|b@example.com', {}, mapping)).toMatchObject({
      person: { email: 'b@example.com' },
    });
  });
});

describe('a row', () => {
  it.each([
    ['email|name', 'a@example.com', 'it has 1 cells, the header has 2'],
    ['email|name', 'a@example.com|b|c', 'it has 3 cells'],
    ['email', 'nobody', 'email: it has no @'],
    ['email|name', 'a@example.com|a\nb', 'name: '],
    ['email|name', 'a@example.com|a\0b', 'NUL'],
    ['email|age', 'a@example.com|1,5', 'age: must be a number'],
    ['email|status', 'a@example.com|maybe', 'status: use active'],
    ['email|created_at', 'a@example.com|3/4/2024', 'may be two dates'],
    ['email|created_at', 'a@example.com|2024-02-30', 'is no date'],
    ['email|created_at', 'a@example.com|2036-01-01', 'lies in the future'],
    ['email|created_at', 'a@example.com|1066-10-14', 'lies before 1970'],
    ['email|lists', 'a@example.com|gone', 'there is no list "gone"'],
    ['email|tags', `a@example.com|${'x'.repeat(101)}`, 'tags: '],
  ])('of %s is refused: %j', (headers, cells, problem) => {
    expect(row(headers, cells)).toMatchObject({ ok: false, problem: expect.stringContaining(problem) });
  });

  it.each([
    ['pt_br', 'pt-BR', false],
    ['English (US)', null, true],
    ['', null, false],
  ])('of the language %j speaks %j', (cell, locale, unknownLocale) => {
    expect(row('email|locale', `a@example.com|${cell}`)).toMatchObject({ person: { locale }, unknownLocale });
  });

  it('was made in the year 1 where .NET had written that it does not know', () => {
    expect(row('email|created_at', 'a@example.com|0001-01-01 00:00:00')).toMatchObject({
      ok: true,
      person: { createdAt: null },
    });
  });

  it.each([
    ['{"age": "41", "plan": "pro", "loose": true, "gone": null}', { age: 41, plan: 'pro', loose: true }],
    ['{"age": "old"}', 'age: must be a number such as 12.5'],
    ['{"age": true}', 'age: must be a number'],
    ['{"plan": 10115, "age": 1e21, "vip": 1}', { plan: '10115', age: 1e21, vip: true }],
    ['{"loose": [1], "deep": {"a": 1}, "plan": true}', { plan: 'true' }],
    ['{"plan": ["pro"]}', 'plan: must be a text, a number, true or false'],
    ['[1]', 'otherFields: must be a JSON object'],
  ])('has other fields in the types of the defined ones, which they went round: %s', (json, read) => {
    const mapped = { more: 'otherFields' };
    expect(row('email|more', `a@example.com|${json}`, {}, mapped)).toMatchObject(
      typeof read === 'string'
        ? { ok: false, problem: expect.stringContaining(read) }
        : { ok: true, person: expect.objectContaining({ fields: read }) },
    );
  });

  it('of our own export keeps what fits no field, from before it was defined', () => {
    expect(row('wellspring:email|otherFields', 'a@example.com|{"age": "old"}')).toMatchObject({
      person: { fields: { age: 'old' } },
    });
  });

  it('is nobody to write to without a word of consent, however active it says they are', () => {
    expect(row('email|status', 'a@example.com|active')).toMatchObject({
      person: { status: 'pending' },
      withoutConsent: true,
    });
    expect(row('email|status', 'a@example.com|active', { hasConsent: true })).toMatchObject({
      person: { status: 'active' },
    });
  });

  it.each([
    ['02/03/24 10:00pm', 'unsubscribed'],
    ['01/03/24 10:00pm', 'pending'],
    ['', 'pending'],
  ])('that says when they left (%j), and not after they came, is of one who is gone', (stopped, status) => {
    const headers = 'Email|Date Added|Stop Time|Ad Tracking';
    expect(row(headers, `a@example.com|02/03/24 10:00am|${stopped}|x`)).toMatchObject({ person: { status } });
  });

  it('comes with advice and is taken all the same', () => {
    expect(row('email', 'info@gmial.com')).toMatchObject({
      ok: true,
      advice: { suggestion: 'info@gmail.com', role: true },
    });
    expect(row('email', 'a@mailinator.com')).toMatchObject({ ok: true, advice: { disposable: true } });
  });
});

describe('times', () => {
  it.each([
    ['2024-01-31', null, '2024-01-31T00:00:00.000Z'],
    ['2024-01-31 9:05', null, '2024-01-31T09:05:00.000Z'],
    ['2024-01-31T09:05:06+02:00', null, '2024-01-31T07:05:06.000Z'],
    ['2024-01-31 09:05:06 -0500', null, '2024-01-31T14:05:06.000Z'],
    ['31.01.2024 09:05', null, '2024-01-31T09:05:00.000Z'],
    ['1/31/2024 12:05 AM', null, '2024-01-31T00:05:00.000Z'],
    ['3/4/2024', 'dmy', '2024-04-03T00:00:00.000Z'],
    ['3/4/2024', 'mdy', '2024-03-04T00:00:00.000Z'],
  ] as const)('%s (%s) is %s', (text, order, at) => {
    expect(readInstant(text, order)).toEqual({ ok: true, at: new Date(at) });
  });

  it.each(['', 'yesterday', '2024-13-01', '31/31/2024', '1/2/2024 13:00 PM', '2024-01-01T25:00'])(
    '%j is none',
    (text) => {
      expect(readInstant(text, 'mdy').ok).toBe(false);
    },
  );

  it('are the same however they are read: the plain form has a shorter way', () => {
    const two = (most: number) => fc.nat(most).map((n) => String(n).padStart(2, '0'));
    const day = fc.tuple(fc.constantFrom('0000', '0024', '1970', '2023', '2024', '9999'), two(13), two(32));
    fc.assert(
      fc.property(day, fc.tuple(two(25), two(61), two(61)), (date, clock) => {
        const text = `${date.join('-')} ${clock.join(':')}`;
        const [plain, full] = [readInstant(text, null), readInstant(`${text}.0`, null)];
        expect(plain.ok ? plain.at : null).toEqual(full.ok ? full.at : null);
      }),
      { numRuns: 500 },
    );
  });
});

describe('cells of our own export', () => {
  const text = fc
    .oneof(
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom(
        ...['=1+1', "'=1", "''", '-5', '-a', '@x', '\t=1'],
        ...[' =1', '＝1', '%0a', 'a;=1', "a;'=1;;-b"],
      ),
      fc.array(fc.constantFrom(';', '\t', '\n', '\r', ' ', '"', "'", '=', '-', '+', '＝', 'a'), {
        maxLength: 12,
      }),
    )
    .map((value) => (typeof value === 'string' ? value : value.join('')));

  it('come back as they were', () => {
    fc.assert(
      fc.property(text, (value) => {
        const cell = exportCell(value).slice(1, -1).replaceAll('""', '"');
        expect(readCell(cell, true)).toBe(value);
      }),
    );
  });

  it.each(['=1+1', '+1+1', '-1+1', '@SUM(A1)', '\t=1', '\r=1', ' =1', "=cmd|' /C calc'!A0", '＝1+1', '|x'])(
    '%j cannot run in a spreadsheet',
    (value) => {
      expect(exportCell(value)).toMatch(/^"'/);
    },
  );

  it('cannot run behind a semicolon, a tab or a new line either, where spreadsheets split at these', () => {
    fc.assert(
      fc.property(text, (value) => {
        for (const cell of exportCell(value)
          .slice(1, -1)
          .split(/[;\t\r\n]/)
          .slice(1))
          expect(cell).not.toMatch(/^[\s"]*[=+\-@＝＋－＠]/);
      }),
    );
    expect(exportCell('x;=1+1;y')).toBe(`"x;'=1+1;y"`);
  });

  it.each(['\t', ';', '\n"', "\t'"])('take no longer for a long run of %j', (run) => {
    // A look back from each place would take minutes; this takes hundredths of a second.
    const value = run.repeat(250_000);
    const from = process.cpuUsage();
    expect(readCell(exportCell(value).slice(1, -1).replaceAll('""', '"'), true)).toBe(value);
    expect(process.cpuUsage(from).user).toBeLessThan(5_000_000);
  });

  it('hold names with commas and quotation marks', () => {
    const name = fc
      .string({ unit: 'grapheme-ascii', minLength: 1 })
      .map((one) => one.trim())
      .filter((one) => one !== '');
    fc.assert(
      fc.property(fc.uniqueArray(name, { maxLength: 5 }), (names) => {
        expect(splitNames(namesText(names))).toEqual(names);
      }),
    );
  });
});

describe('fields as text', () => {
  it('are read by their type', () => {
    const field = (type: 'boolean' | 'choice' | 'date', choices: string[] = []) => ({
      key: 'k',
      label: 'k',
      type,
      choices,
    });
    expect(readFieldText(field('boolean'), ' Yes ')).toEqual({ ok: true, value: true });
    expect(readFieldText(field('boolean'), '2').ok).toBe(false);
    expect(readFieldText(field('choice', ['Small']), 'small')).toEqual({ ok: true, value: 'Small' });
    expect(readFieldText(field('date'), '2023-02-29').ok).toBe(false);
  });
});
