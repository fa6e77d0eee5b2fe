import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEY, startTestApp, type TestApp } from '../../../support/app.js';
import { newReader } from '../../../support/reader.js';
import { type OwnerPages, ownerPages } from '../../../support/owner-pages.js';

/** They asked the owner by a letter: before, only the API could answer it. */
describe('who asks the owner for their data by a letter', () => {
  let t: TestApp;
  let owner: OwnerPages;
  beforeAll(async () => {
    t = await startTestApp();
    owner = await ownerPages(t);
  });
  afterAll(async () => t.close());

  const api = (path: string) => t.http.get(`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`);
  const erase = (id: string, form: Record<string, string> = { understood: 'yes' }) =>
    owner.post(`/admin/subscribers/${id}/erase`, form);

  it('gets the copy that they would get by themselves, as a file', async () => {
    const reader = await newReader(t, 'ada@example.com', { name: 'Ada' });
    const page = await owner.get(`/admin/subscribers/${reader.id}`);
    const path = /<a [^>]*href="([^"]*export[^"]*)" download>/.exec(page)?.[1] ?? '';
    const file = await t.http.get(path).set('Cookie', owner.cookie).expect(200);
    expect(file.headers).toMatchObject({
      'content-disposition': `attachment; filename="subscriber-${reader.id}.json"`,
      'content-type': expect.stringContaining('application/json'),
      'cache-control': 'no-store',
    });
    const { exportedAt: _at, consentReceipt: _receipt, ...copy } = file.body as Record<string, unknown>;
    const { body } = await api(`subscribers/${reader.id}/export`).expect(200);
    expect(body).toMatchObject(copy);
    expect(copy).toMatchObject({ profile: { email: 'ada@example.com' }, mails: [{}, {}] });
  });

  it('is erased once the owner has read what goes and what stays, and said yes', async () => {
    const reader = await newReader(t, 'bob@example.com');
    const { id } = reader;
    const link = `/admin/subscribers/${id}/erase`;
    expect(await owner.get(`/admin/subscribers/${id}`)).toContain(`href="${link}"`);
    const question = await owner.get(link);
    for (const words of ['bob@example.com', 'cannot be undone', 'Paid orders', 'suppressions', 'backups'])
      expect(question).toContain(words);
    const unsure = await erase(id, {}).expect(422);
    expect(unsure.text).toContain('Nobody was erased.');
    await api(`subscribers/${id}`).expect(200);

    const done = await erase(id).expect(200);
    expect(done.text).toContain('Erased');
    await api(`subscribers/${id}`).expect(404);
    const kept = await t.dataSource.query(
      `select reason, source, scope from suppression where reason = 'erased'`,
    );
    expect(kept).toEqual([{ reason: 'erased', source: 'owner', scope: 'all' }]);
    // A second press of the button.
    expect((await erase(id).expect(200)).text).toContain('Erased');
    await t.http.post('/p/niches').type('form').send({ email: reader.email }).expect(200);
    const before = (await t.mailsTo(reader.email)).length;
    await t.runDue();
    expect(await t.mailsTo(reader.email)).toHaveLength(before);
  });

  it('leads nowhere where there is nobody, and asks who comes without signing in', async () => {
    for (const path of ['export.json', 'erase'])
      for (const id of ['999999', '0', 'ada', '99999999999999999999'])
        await t.http.get(`/admin/subscribers/${id}/${path}`).set('Cookie', owner.cookie).expect(404);
    await erase('ada').expect(404);
    const { id } = await newReader(t, 'cleo@example.com');
    for (const path of ['export.json', 'erase']) {
      const answer = await t.http.get(`/admin/subscribers/${id}/${path}`);
      expect([path, answer.status, answer.text]).toEqual([path, 303, '']);
    }
    await t.http.post(`/admin/subscribers/${id}/erase`).type('form').send({ understood: 'yes' });
    await t.http
      .post(`/admin/subscribers/${id}/erase`)
      .set('Cookie', owner.cookie)
      .set('Origin', 'https://evil.example')
      .type('form')
      .send({ understood: 'yes' })
      .expect(403);
    await api(`subscribers/${id}`).expect(200);
  });
});
