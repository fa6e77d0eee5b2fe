import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { importOptions } from '../../../src/imports/imports.schemas.js';
import { ImportsService } from '../../../src/imports/imports.service.js';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { openCourse, type Course } from '../sequences/course.js';

describe('a broadcast at an hour, to who is in no sequence', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());

  const imported = async (csv: string): Promise<void> => {
    const folder = await mkdtemp(join(tmpdir(), 'wellspring-known-zone-'));
    await writeFile(join(folder, 'people.csv'), csv);
    const imports = t.test.app.get(ImportsService, { strict: false });
    const options = importOptions.parse({ status: 'active', consentText: 'Yes' });
    const job = await imports.create({ fileName: 'people.csv', dryRun: false, options });
    await imports.takeFile(job.id, join(folder, 'people.csv'));
    await imports.run(job.id);
    await rm(folder, { recursive: true, force: true });
  };

  it('went by the fallback’s clock to whose own had become known by a form or an import: it goes at their hour', async () => {
    await t.publish('- { key: x, email: emails/story, delay: 9 days }');
    for (const name of ['form', 'list', 'nobody', 'tokyo']) await t.person(`${name}@example.com`);
    const sender = { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St' };
    const draft = { title: 'News', template: 'emails/story', audience: { everybody: true }, sender };
    const { body } = await t.post('/api/v1/broadcasts', draft);
    const started = await t.post(`/api/v1/broadcasts/${String(body['id'])}/start`, {
      ...{ atLocal: '2026-01-06T12:00', fallbackZone: 'UTC' },
    });
    expect(started.status).toBeLessThan(300);
    t.clock.set('2026-01-05T23:00:00Z');
    await t.test.app.get(JobRunner, { strict: false }).run('broadcasts.plan');
    const typed = { email: 'form@example.com', timeZone: 'America/New_York' };
    expect((await t.test.http.post('/api/public/forms/course').send(typed)).status).toBeLessThan(300);
    await imported(
      'email,timeZone\nlist@example.com,America/New_York\ntokyo@example.com,Asia/Tokyo\nnew@example.com,Asia/Tokyo\n',
    );
    await t.run();
    const rows = await t.db.query(
      `select split_part(address, '@', 1) as name, to_char(due_at at time zone 'UTC', 'HH24:MI') as at, h.time_zone as zone
       from message m join send_hours h on h.id = m.send_hours_id where broadcast_id is not null order by 1`,
    );
    expect(rows).toEqual([
      { name: 'form', at: '17:00', zone: 'America/New_York' },
      { name: 'list', at: '17:00', zone: 'America/New_York' },
      { name: 'nobody', at: '12:00', zone: 'UTC' },
      { name: 'tokyo', at: '03:00', zone: 'Asia/Tokyo' },
    ]);
    expect(await t.db.query('select * from field_signal')).toEqual([]);
  });
});
