import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FUNNELS_FOLDER } from '../../../../src/funnels/demo.service.js';
import { readFunnelText } from '../../../../src/funnels/yaml/funnel-text.files.js';
import { lintFiles } from '../../../../src/funnels/lint/funnel-lint.files.js';
import { FunnelLintService } from '../../../../src/funnels/lint/funnel-lint.service.js';
import { FunnelMails } from '../../../../src/funnels/templates/funnel-mails.service.js';
import { RULES, type Finding, type RuleName } from '../../../../src/funnels/lint/rules.js';
import { START, startTestApp, type TestApp } from '../../../support/app.js';
import { empty } from '../../../support/database.js';

const STEPS = `
    - { key: hello, email: emails/welcome }
    - { key: story, email: emails/story, delay: 1 day }`;
const PRODUCT = '- { key: box, name: Box, price: 49.00 EUR, delivers: [files/launch-kit.zip] }';
const OFFER = '- { key: box, product: box }';
/** With nothing wrong. */
const CLEAN = `funnel: course
title: A course
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
form: { slug: course, template: pages/squeeze, headline: Get it, consent: Send it to me }
sequence:
  priority: 5
  exitOn: [{ purchased: box }]
  steps:${STEPS}
products:
  ${PRODUCT}
offers:
  ${OFFER}
`;
/** Another that is applied before, and moves its people here. */
const OTHER = `funnel: other
title: Another
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
form: { slug: other, headline: Get it, consent: Send it to me }
sequence:
  reentry: always
  steps: [{ key: on, move: course }]
`;

const SPARE = '{ key: spare, name: S, price: 1 EUR, licence: true }';

const put =
  (old: string, fresh: string) =>
  (text: string): string => {
    expect(text).toContain(old);
    return text.replace(old, fresh);
  };
/** A step after the two mails. */
const step = (yaml: string): ((text: string) => string) => put(STEPS, `${STEPS}\n    - ${yaml}`);
const mail = (more: string): ((text: string) => string) => step(`{ key: x, email: emails/nudge, ${more} }`);
const ask = (condition: string): ((text: string) => string) =>
  step(`{ key: ask, if: ${condition}, then: [{ key: more, email: emails/nudge }] }`);
const sequence = (line: string): ((text: string) => string) => put('priority: 5', line);
const template = (path: string, text: string): ((text: string) => string) =>
  put('offers:', `templates: { ${path}: "${text}" }\noffers:`);
const products = (more: string): ((text: string) => string) => put(PRODUCT, `${PRODUCT}\n  - ${more}`);

interface Defect {
  damage: (text: string) => string;
  /** Where it is to be found. */
  field: string;
  /** What is wrong by the same defect, too. */
  also?: string[];
  /** Another file, that is applied together with this one. */
  along?: string;
  /** What is there before. */
  given?: (t: TestApp) => Promise<void>;
  /** By the command that looks at files without a database. */
  inFiles?: true;
}

const affiliate = async (t: TestApp): Promise<void> => {
  await t.dataSource.query(
    `insert into affiliate (code, name, email, email_key, state, created_at, updated_at)
     values ('ada', 'Ada', 'ada@example.org', 'ada@example.org', 'active', now(), now())`,
  );
};
/** A product of a funnel that dropped it, with a member. */
const dropped = async (t: TestApp): Promise<void> => {
  await t.dataSource.query(
    `insert into product (funnel_key, key, name, description, amount_minor, currency, archived_at, created_at, updated_at)
     values ('gone', 'box', 'Box', '', 100, 'EUR', now(), now(), now())`,
  );
  await t.dataSource.query(
    `with s as (insert into subscriber (email, email_key, status, created_at, updated_at)
       values ('member@example.com', 'member@example.com', 'active', now(), now()) returning id)
     insert into membership (subscriber_id, product_id, state, starts_at, created_at, updated_at)
     select s.id, p.id, 'active', now(), now(), now() from s, product p where p.key = 'box'`,
  );
};

/** Two funnels that gave a field two labels, before that was refused. */
const labelledTwice = async (t: TestApp): Promise<void> => {
  for (const [key, label] of [
    ['course', 'Size'],
    ['second', 'Shoe size'],
  ])
    await t.dataSource.query(
      `insert into funnel (key, title, definition, definition_hash, version, created_at, updated_at)
       values ($1, '', json_build_object('definition', json_build_object('sequence', '{"steps": []}'::json, 'fields', json_build_object('size',
         json_build_object('type', 'text', 'label', $2::text)))), '', 1, now(), now())`,
      [key, label],
    );
};

/** The funnel is there, and somebody is in it whose town has a line break in it. */
const enrolled = async (t: TestApp): Promise<void> => {
  await t.dataSource.query(
    `insert into funnel (key, title, definition, definition_hash, version, created_at, updated_at)
     values ('course', '', '{"definition": {"sequence": {"steps": []}}, "sources": {}}', '', 1, now(), now())`,
  );
  await t.dataSource.query(
    `with q as (insert into sequence (key, funnel_key, title, sender, created_at, updated_at)
       values ('course', 'course', '', '{}', now(), now()) returning id),
     v as (insert into sequence_version (sequence_id, version, definition, definition_hash, created_at)
       select id, 1, '{}', '', now() from q returning id, sequence_id),
     s as (insert into subscriber (email, email_key, status, fields, created_at, updated_at)
       values ('odd@example.com', 'odd@example.com', 'active', '{"town": "Ely\\nNorth"}', now(), now()) returning id)
     insert into enrollment (sequence_id, version_id, subscriber_id, status, started_at)
     select v.sequence_id, v.id, s.id, 'active', now() from v, s`,
  );
};
const FOOT =
  "{{ sender.name }}, {{ sender.postalAddress }} <a href='{{ unsubscribeUrl }}'>out</a></mj-text></mj-column></mj-section></mj-body></mjml>";

/** One for every rule. */
const DEFECTS: Readonly<Record<RuleName, Defect>> = {
  'unreadable-file': { damage: put('title: A course', 'title: [A course'), field: '' },
  'unknown-option': { damage: mail('colour: red'), field: 'sequence.steps.2.colour' },
  'missing-value': { damage: put('title: A course\n', ''), field: 'title' },
  'wrong-value': { damage: mail('delay: soon'), field: 'sequence.steps.2.delay' },
  'missing-consent': { damage: put(', consent: Send it to me', ''), field: 'form.consent' },
  'offer-without-price': { damage: put(', price: 49.00 EUR', ''), field: 'products.0.price' },
  'duplicate-key': { damage: put('key: story', 'key: hello'), field: 'sequence.steps.1.key' },
  'name-taken': { damage: put('slug: course', 'slug: niches'), field: 'form.slug' },
  'unknown-offer': { damage: mail('offer: bax'), field: 'sequence.steps.2.offer' },
  'unknown-product': {
    damage: put('purchased: box', 'purchased: bax'),
    field: 'sequence.exitOn.0.purchased',
  },
  'unknown-affiliate': {
    damage: ask('{ affiliate: bo }'),
    field: 'sequence.steps.2.if.affiliate',
    given: affiliate,
  },
  'unknown-step': { damage: ask('{ clicked: later }'), field: 'sequence.steps.2.if.clicked' },
  'unknown-field': { damage: ask('{ field: level, over: 3 }'), field: 'sequence.steps.2.if.field' },
  'unknown-outcome': { damage: ask('{ step: story, was: then }'), field: 'sequence.steps.2.if.was' },
  'unknown-arm': {
    damage: put(
      STEPS,
      `${STEPS}\n    - { key: x, email: emails/nudge, split: { judge: clicks, arms: [{ key: a }, { key: b, subject: Hi }] } }
    - { key: ask, if: { split: x, arm: c }, then: [{ key: more, email: emails/nudge }] }`,
    ),
    field: 'sequence.steps.3.if.arm',
  },
  'unknown-sequence': { damage: step('{ key: on, move: nowhere }'), field: 'sequence.steps.2.move' },
  'unreachable-step': {
    damage: put('    - { key: story', '    - { key: e, end: true }\n    - { key: story'),
    field: 'sequence.steps.2',
  },
  'empty-branch': { damage: step('{ key: ask, if: { tag: a } }'), field: 'sequence.steps.2' },
  'conflicting-times': {
    damage: step('{ key: w, wait: 1 day, delay: 1 day }'),
    field: 'sequence.steps.2.delay',
  },
  'impossible-time': {
    damage: mail('at: "03:00", quietHours: { from: "20:00", to: "08:00" }'),
    field: 'sequence.steps.2.at',
  },
  'deadline-without-offer': { damage: mail('deadline: 3 days'), field: 'sequence.steps.2.deadline' },
  'owners-without-offer': { damage: mail('toOwners: send'), field: 'sequence.steps.2.toOwners' },
  'bump-mismatch': { damage: put(OFFER, '- { key: box, product: box, bump: box }'), field: 'offers.0.bump' },
  'upsell-loop': {
    damage: (text) =>
      products(SPARE)(
        put(
          OFFER,
          '- { key: box, product: box, upsell: spare }\n  - { key: spare, product: spare, upsell: box }',
        )(text),
      ),
    field: 'offers.0.upsell',
    also: ['upsell-loop offers.1.upsell'],
  },
  'split-test': {
    damage: mail('split: { judge: clicks, arms: [{ key: a }, { key: b }] }'),
    field: 'sequence.steps.2.split.arms.1',
  },
  'loop-without-delay': {
    damage: (text) =>
      step('{ key: on, move: other }')(sequence('reentry: always')(text)).replace(', delay: 1 day', ''),
    field: 'sequence.steps.2.move',
    along: OTHER,
  },
  'unknown-template': { damage: put('emails/story', 'emails/nowhere'), field: 'sequence.steps.1.email' },
  'unused-template': {
    damage: template('emails/spare.mjml', '<mjml><mj-body></mj-body></mjml>'),
    field: 'templates.emails/spare.mjml',
  },
  'broken-template': {
    damage: template('emails/story.mjml', '<mjml><mj-body><mj-text>'),
    field: 'sequence.steps.1.email',
  },
  'hidden-duty': {
    damage: template(
      'emails/story.mjml',
      "<mjml><mj-head><mj-title>Hi</mj-title></mj-head><mj-body><mj-section><mj-column><mj-text>Words. <span style='display:none'>{{ sender.postalAddress }} <a href='{{ unsubscribeUrl }}'>out</a></span></mj-text></mj-column></mj-section></mj-body></mjml>",
    ),
    field: 'sequence.steps.1.email',
  },
  'unknown-variable': {
    damage: mail('split: { judge: clicks, arms: [{ key: a }, { key: b, subject: "{{ order.number }}" }] }'),
    field: 'sequence.steps.2.split.arms.1.subject',
  },
  'foreign-tag': {
    damage: mail('split: { judge: clicks, arms: [{ key: a }, { key: b, subject: "Why {$count} is 1" }] }'),
    field: 'sequence.steps.2.split.arms.1.subject',
  },
  'unknown-file': { damage: put('launch-kit.zip', 'none.zip'), field: 'products.0.delivers.0' },
  'page-without-form': { damage: put('pages/squeeze', 'pages/thanks'), field: 'form.template' },
  'reader-value': {
    given: enrolled,
    damage: mail(
      'split: { judge: clicks, arms: [{ key: a }, { key: b, subject: "For {{ subscriber.fields.town }}" }] }',
    ),
    field: 'sequence.steps.2.split.arms.1.subject',
  },
  'reader-doubt': {
    given: enrolled,
    damage: template(
      'emails/story.mjml',
      `<mjml><mj-head><mj-title>Hi</mj-title></mj-head><mj-body><mj-section><mj-column><mj-text><a href='{{ subscriber.fields.town }}'>your page</a> ${FOOT}`,
    ),
    field: 'sequence.steps.1.email',
  },
  'date-passed': { damage: mail('until: 2020-01-01'), field: 'sequence.steps.2.until' },
  'never-in-time': { damage: mail('delay: 30 days, expires: 2026-01-20'), field: 'sequence.steps.2.expires' },
  'condition-never-true': {
    damage: ask('{ all: [{ tag: a }, { not: { tag: a } }] }'),
    field: 'sequence.steps.2.if',
  },
  'condition-always-true': {
    damage: ask('{ any: [{ tag: a }, { not: { tag: a } }] }'),
    field: 'sequence.steps.2.if',
  },
  'case-never-reached': {
    damage: step(
      '{ key: ask, switch: [{ if: { tag: a }, then: [{ key: m, email: emails/nudge }] }, { if: { all: [{ tag: a }, { tag: b }] } }] }',
    ),
    field: 'sequence.steps.2.switch.1.if',
  },
  'event-of-before': {
    damage: put(
      STEPS,
      `${STEPS}
    - { key: one, if: { event: call, within: 1 day }, then: [{ key: a, email: emails/nudge }] }
    - { key: two, if: { event: call, within: 1 day }, then: [{ key: b, email: emails/nudge }] }`,
    ),
    field: 'sequence.steps.3.if.event',
  },
  'goal-never-reached': {
    damage: (text) => products(SPARE)(step('{ key: won, goal: { purchased: spare } }')(text)),
    field: 'sequence.steps.2.goal',
    also: ['product-not-offered products.1'],
  },
  'entry-never-reached': {
    damage: sequence('enterOn: [{ clicked: hello }]'),
    field: 'sequence.enterOn.0.clicked',
  },
  'move-without-return': {
    damage: step('{ key: on, move: other }'),
    field: 'sequence.steps.2.move',
    along: OTHER.replace('  reentry: always\n', ''),
  },
  'sequence-elsewhere': {
    damage: sequence('enterOn: [{ clicked: hello, sequence: nowhere }]'),
    field: 'sequence.enterOn.0.sequence',
  },
  'field-elsewhere': {
    damage: ask('{ field: level, over: 3 }'),
    field: 'sequence.steps.2.if.field',
    inFiles: true,
  },
  'affiliate-to-come': { damage: ask('{ affiliate: bo }'), field: 'sequence.steps.2.if.affiliate' },
  'label-elsewhere': {
    damage: put('title: A course', 'title: A course\nfields: { size: { type: text, label: Size } }'),
    field: 'fields.size.label',
    given: labelledTwice,
  },
  'list-to-come': { damage: sequence('enterOn: [{ list: readers }]'), field: 'sequence.enterOn.0.list' },
  'product-without-delivery': { damage: put(', delivers: [files/launch-kit.zip]', ''), field: 'products.0' },
  'product-taken-over': { damage: (text) => text, field: 'products.0.key', given: dropped },
  'product-not-offered': { damage: products(SPARE), field: 'products.1' },
  'upsell-never-shown': {
    damage: put(OFFER, '- { key: box, product: box, upsell: again }\n  - { key: again, product: box }'),
    field: 'offers.0.upsell',
  },
  'commission-for-nothing': {
    damage: put('offers:', 'affiliates: { commission: 0% }\noffers:'),
    field: 'affiliates.commission',
  },
  'offer-to-owners': {
    damage: (text) => sequence('enterOn: [{ purchased: box }]')(mail('offer: box')(text)),
    field: 'sequence.steps.2.offer',
  },
  'offer-for-nothing': { damage: put('49.00 EUR', '0 EUR'), field: 'offers.0' },
};

describe('a defect that is put into a funnel with nothing wrong', () => {
  let t: TestApp;
  let folder: string;

  beforeAll(async () => {
    t = await startTestApp();
    t.app.get(FunnelMails, { strict: false }).triedForMs = Infinity;
    folder = await mkdtemp(join(tmpdir(), 'wellspring-defects-'));
    await cp(join(FUNNELS_FOLDER, 'files'), join(folder, 'files'), { recursive: true });
  });
  afterAll(async () => {
    await t.close();
    await rm(folder, { recursive: true, force: true });
  });
  beforeEach(async () => {
    await empty(t.dataSource, 'affiliate, membership, funnel, sequence, subscriber');
    await t.dataSource.query(`delete from product where key = 'box'`);
  });

  const found = async (text: string, along?: string, inFiles = false): Promise<Finding[]> => {
    const files = [text, ...(along === undefined ? [] : [along])].map((one) => ({
      ...{ name: 'course.yaml', text: one, before: 0, folder: FUNNELS_FOLDER },
    }));
    if (!inFiles) {
      const linter = t.app.get(FunnelLintService, { strict: false });
      const [linted] = await t.dataSource.transaction(async (manager) => linter.checkAll(manager, files));
      return linted?.findings ?? [];
    }
    const path = join(folder, 'course.yaml');
    await writeFile(path, text);
    return (await lintFiles([path], START)).flatMap(({ findings }) => findings);
  };

  it('is none: nothing is said of the demonstration, nor of the funnel without one', async () => {
    expect(await found(CLEAN)).toEqual([]);
    expect(await found(await readFunnelText(join(FUNNELS_FOLDER, 'niche-ebook.yaml')))).toEqual([]);
  });

  it('has one for every rule', () => {
    expect(Object.keys(DEFECTS).toSorted()).toEqual(Object.keys(RULES).toSorted());
  });

  it.each(Object.entries(DEFECTS))(
    'is found by %s alone',
    async (rule, { damage, field, also = [], along, given, inFiles }) => {
      await given?.(t);
      const findings = await found(damage(CLEAN), along, inFiles);
      expect(findings.map((one) => `${one.rule} ${one.field}`)).toEqual([`${rule} ${field}`, ...also]);
      expect(findings[0]?.severity).toBe(RULES[rule as RuleName].severity);
    },
  );
});
