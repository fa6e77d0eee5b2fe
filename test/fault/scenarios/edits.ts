import { randomUUID } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CommandContext } from '../../../src/application.js';
import { BroadcastsService } from '../../../src/broadcasts/broadcasts.service.js';
import { importOptions } from '../../../src/imports/imports.schemas.js';
import { ImportsService } from '../../../src/imports/imports.service.js';
import { SegmentsService } from '../../../src/segments/segments.service.js';
import { TagChangesService } from '../../../src/segments/tag-changes.service.js';
import { SubscriberChangesService } from '../../../src/sequences/subscriber-changes/subscriber-changes.service.js';
import { DomainError } from '../../../src/values/domain-error.js';
import { SENDER } from '../../support/mail-seed.js';
import { harmAtPlaces, type Place } from '../harm-at-places.js';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';
import { audience, isPlanned, mailedOnce } from './broadcasts.js';

const JOB = 'broadcasts.plan';
const PEOPLE = 13_000;
/** Every second one has the tag; they come in four batches of 2,000 mails at most. */
const GUESTS = PEOPLE / 2;
const LATE_GUESTS = 40;
const MERGED = 500;
/** Readers whose name and time zone change after their mail was claimed and before its body. */
const EDITED: ReadonlySet<number> = new Set([5, 50, 51, 52, 400, 2_000]);

const CURSOR = 'update broadcast set cursor_subscriber_id';
/** The first falls together with the end of a batch, the others with nothing kept of it, or with what nobody heard. */
const PLACES: readonly Place[] = [
  { statement: CURSOR, moment: 'committed', atEnd: true },
  { statement: CURSOR, moment: 'sent' },
  { statement: CURSOR, moment: 'committed', atEnd: true },
];

type Edit = (context: CommandContext) => Promise<string[]>;

/** Who gets a broadcast is settled when it begins, whatever the owner changes while it goes. */
export const editScenarios: readonly Scenario[] = [
  {
    name: 'segment, tag and readers edited and merged while their broadcast is planned and sent, kill -9 x3',
    covers: 'F1 F31 F36',
    short: false,
    mails: 1,
    run: async (world) => {
      await audience(world, PEOPLE);
      await tagGuests(world);
      const id = await world.inProduct(startForGuests);
      world.mails += GUESTS;
      const wrong: string[] = [];
      const edits: Edit[] = [editSegment, tagOthers(world), mergeTag, mergeReaders(world)];
      const editNext = async (): Promise<string[]> => world.inProduct(edits.shift() ?? (async () => []));
      wrong.push(
        ...(await harmAtPlaces(world, { harm: 'kill -9', places: PLACES, job: JOB, after: editNext })),
        ...expectThat(!(await isPlanned(world, id)()), 'all was planned before the last of them'),
      );
      // While a worker plans, as far as it is not faster.
      while (edits.length > 0) wrong.push(...(await editNext()));
      await world.inProduct(async ({ app }) => {
        const changes = app.get(SubscriberChangesService, { strict: false });
        world.sink.onStage = async ({ stage, hit, text }) => {
          if (stage === 'rcpt' && EDITED.has(hit)) await editReader(world, changes, text);
        };
        await world.wake(JOB);
        await world.release();
        await world.finish();
      });
      const others = await world.sql(
        'select 1 from message m where m.broadcast_id = $1 and not exists (select 1 from guest g where g.id = m.subscriber_id)',
        [id],
      );
      return [
        ...wrong,
        ...expectThat(others.length === 0, `${others.length} mails to people who were no guests`),
        ...(await mailedOnce(world, id, GUESTS)),
      ];
    },
  },
];

/** `guest` keeps who they were at the start. */
async function tagGuests(world: World): Promise<void> {
  await world.sql(`create table guest as select id from (
      select id, row_number() over (order by id) as n from subscriber) s where n % 2 = 0`);
  await world.sql(`insert into tag (name, created_at) values ('guest', now()), ('other', now())`);
  await world.sql(
    `insert into subscriber_tag (subscriber_id, tag_id, created_at)
     select guest.id, tag.id, now() - interval '1 hour' from guest, tag where tag.name = 'guest'`,
  );
}

async function startForGuests({ app }: CommandContext): Promise<string> {
  await app
    .get(SegmentsService, { strict: false })
    .create({ key: 'guests', title: 'Guests', conditions: { tag: 'guest' } });
  const broadcasts = app.get(BroadcastsService, { strict: false });
  const { id } = await broadcasts.create({
    ...{ title: 'News', template: 'emails/story', sender: SENDER, topic: null, expiresAt: null },
    audience: { segments: { any: ['guests'] } },
  });
  await broadcasts.start(id, null);
  return id;
}

async function editSegment({ app }: CommandContext): Promise<string[]> {
  const segments = app.get(SegmentsService, { strict: false });
  const guests = (await segments.page(undefined, 10)).find(({ key }) => key === 'guests');
  await segments.update(guests?.id ?? '', { conditions: { not: { tag: 'guest' } } });
  return [];
}

function tagOthers(world: World): Edit {
  return async ({ app }) => {
    const changes = app.get(SubscriberChangesService, { strict: false });
    // From the end, which is planned last.
    const rows = await world.sql<{ id: string }>(
      'select id from subscriber s where not exists (select 1 from guest g where g.id = s.id) order by id desc limit $1',
      [LATE_GUESTS],
    );
    for (const { id } of rows) await changes.addTag(id, 'guest');
    return [];
  };
}

/** The segment asks for the other tag from then on; the broadcast would ask for one that is gone. */
async function mergeTag({ app, dataSource }: CommandContext): Promise<string[]> {
  const [from, into]: { id: string }[] = await dataSource.query(
    `select id from tag where name in ('guest', 'other') order by name`,
  );
  try {
    await app.get(TagChangesService, { strict: false }).merge(from?.id ?? '', into?.id ?? '');
    return ['the tag of a broadcast under way was merged'];
  } catch (error) {
    if (error instanceof DomainError && error.code === 'TAG_IN_USE_CONFLICT') return [];
    throw error;
  }
}

/** A table in which each address is written otherwise, which are the same mailboxes. */
function mergeReaders(world: World): Edit {
  return async ({ app }) => {
    const rows = await world.sql<{ email: string }>(
      'select email from subscriber order by id desc limit $1',
      [MERGED],
    );
    const path = join(tmpdir(), `wellspring-fault-${randomUUID()}.csv`);
    await writeFile(
      path,
      ['email,name', ...rows.map(({ email }) => `${email.toUpperCase()},Merged`)].join('\n'),
    );
    try {
      const imports = app.get(ImportsService, { strict: false });
      const options = importOptions.parse({ existing: 'overwrite' });
      const { id } = await imports.create({ fileName: 'people.csv', dryRun: false, options });
      await imports.takeFile(id, path);
      await imports.run(id, { toTheEnd: true });
      const { counts } = await imports.get(id);
      return expectThat(counts['updated'] === MERGED, `merged ${JSON.stringify(counts)}`);
    } finally {
      await rm(path);
    }
  };
}

async function editReader(world: World, changes: SubscriberChangesService, rcpt: string): Promise<void> {
  const address = /<([^>]*)>/.exec(rcpt)?.[1] ?? '';
  const rows = await world.sql<{ id: string }>('select id from subscriber where email_key = lower($1)', [
    address,
  ]);
  for (const { id } of rows) await changes.update(id, { name: 'Edited', timeZone: 'Asia/Tokyo' });
}
