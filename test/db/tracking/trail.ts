import { CONFIG, type Config } from '../../../src/infra/config.js';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { HitRecorder } from '../../../src/tracking/hit-recorder.service.js';
import { clickToken, openToken } from '../../../src/tracking/tracking-token.js';
import { SETTLE_CLICKS } from '../../../src/tracking/verdicts.service.js';
import { START, type TestApp } from '../../support/app.js';

export const CHROME =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36';
export const IPHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1';

export interface Mail {
  id: string;
  subscriberId: string;
  open: string;
  /** Paths of its links, all the same for everybody. */
  links: string[];
}

let made = 0;

/** A mail with this many links, accepted by the relay now. */
export async function acceptedMail(t: TestApp, { links = 4, consent = true } = {}): Promise<Mail> {
  const at = t.clock.now();
  const name = `reader${++made}@example.com`;
  const secret = t.app.get<Config>(CONFIG).secretKey;
  const [{ id: subscriberId }] = await t.dataSource.query(
    `insert into subscriber (email, email_key, status, tracking_consent, created_at, updated_at)
     values ($1, $1, 'active', $3, $2, $2) returning id`,
    [name, at, consent],
  );
  const [{ id }] = await t.dataSource.query(
    `insert into message (dedupe_key, class, kind, subscriber_id, email_template_id, sender, address, address_hash,
       message_id_header, state, due_at, accepted_at, created_at)
     select $2, 'marketing', 'sequence', $1, (select min(id) from email_template), '{}', $2, '\\x00', $2, 'accepted', $3, $3, $3
     returning id`,
    [subscriberId, name, at],
  );
  const rows: { id: string }[] = await t.dataSource.query(
    `insert into link (url_template, url_hash, created_at)
     select 'https://example.com/page/' || n, decode(md5('page' || n), 'hex'), $2 from generate_series(1, $1::int) n
     on conflict (url_hash) do update set created_at = link.created_at returning id`,
    [links, START],
  );
  return {
    id,
    subscriberId,
    open: `/o/${openToken(secret, id)}.gif`,
    links: rows.map((row) => `/c/${clickToken(secret, { messageId: id, linkId: row.id, url: null })}`),
  };
}

/** Asks as a browser asks. */
export async function visit(
  t: TestApp,
  path: string | undefined,
  {
    userAgent = CHROME,
    headers = {},
    head = false,
  }: { userAgent?: string; headers?: object; head?: boolean } = {},
): Promise<void> {
  const request = head ? t.http.head(path ?? '') : t.http.get(path ?? '');
  await request
    .set({ 'user-agent': userAgent, 'accept-language': 'en-GB,en;q=0.9', ...headers })
    .expect((path ?? '').startsWith('/c/') ? 302 : 200);
}

/** Stores what was asked, and decides about the clicks whose moment has passed. */
export async function settle(t: TestApp): Promise<void> {
  await t.app.get(HitRecorder).flush();
  await t.app.get(JobRunner).run(SETTLE_CLICKS);
}

/** `click human`, `open proxy` and so on, in the order they were stored. */
export async function verdicts(t: TestApp, mail: Mail): Promise<string[]> {
  await t.app.get(HitRecorder).flush();
  const rows: { kind: string; class: string }[] = await t.dataSource.query(
    'select kind, class from tracking_event where message_id = $1 order by id',
    [mail.id],
  );
  return rows.map((row) => `${row.kind} ${row.class}`);
}
