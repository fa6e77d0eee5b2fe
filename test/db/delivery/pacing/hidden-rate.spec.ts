import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PacingService } from '../../../../src/delivery/pacing/pacing.service.js';
import { openSmtpSink, type SmtpSink } from '../../../support/smtp-sink.js';
import { OPENED_AT, openPacing, passSeconds, type PacingApp } from './pacing-app.js';

const HIDDEN_PER_SECOND = 40;
const TICK_SECONDS = 0.25;
const SECONDS = 90;
const LANE = 'example.com|outlook';

describe.each([421, 451])('a receiver that answers %i above a pace it does not tell', (code) => {
  let t: PacingApp;
  let sink: SmtpSink;
  let connection: SMTPConnection;
  beforeAll(async () => {
    [t, sink] = await Promise.all([openPacing(), openSmtpSink()]);
    connection = await connected(sink);
  });
  afterAll(async () => {
    connection.quit();
    await sink.close();
    await t.close();
  });

  it('gets mails a little below that pace after a while, and none is lost', async () => {
    const pacing = t.app.get(PacingService);
    // Time as the buckets see it: what really passes while a tick's mails are sent is made up for at its end.
    let ticks = 0;
    const nowMs = (): number => ticks * TICK_SECONDS * 1_000;
    const taken: number[] = [];
    const refused: number[] = [];
    sink.onRecipient = async () => {
      const lately = taken.filter((at) => at > nowMs() - 1_000).length;
      if (lately < HIDDEN_PER_SECOND) return undefined;
      refused.push(nowMs());
      return code;
    };
    const waiting = Array.from({ length: 100_000 }, (_, index) => `reader${index}@example.net`);
    const sent = new Set<string>();
    while (nowMs() < SECONDS * 1_000) {
      const begunMs = performance.now();
      t.clock.set(new Date(OPENED_AT.getTime() + nowMs()));
      const places = [{ queueKey: LANE, priority: 5, due: waiting.length }];
      const granted = (await pacing.allow(places, 32)).granted.get(LANE) ?? 0;
      let accepted = 0;
      for (const address of waiting.splice(0, granted)) {
        if (await send(connection, address)) {
          taken.push(nowMs());
          sent.add(address);
          accepted++;
        } else {
          waiting.push(address);
          // 421 ends the session.
          if (code === 421) connection = await connected(sink);
          await pacing.slowDown(LANE, code);
        }
      }
      if (accepted > 0) await pacing.sped(LANE, accepted);
      ticks++;
      await passSeconds(t.db, TICK_SECONDS - (performance.now() - begunMs) / 1_000);
    }
    const settled = (at: number): boolean => at > SECONDS * 500;
    const [good, bad] = [taken.filter(settled).length, refused.filter(settled).length];
    const perSecond = good / (SECONDS / 2);
    expect(perSecond).toBeLessThanOrEqual(HIDDEN_PER_SECOND);
    expect(perSecond).toBeGreaterThan(HIDDEN_PER_SECOND * 0.55);
    expect(bad / (good + bad)).toBeLessThan(0.1);
    expect(sent.size + waiting.length).toBe(100_000);
    const got = sink.mails.map(({ to }) => to[0]);
    expect(new Set(got)).toEqual(sent);
    expect(got).toHaveLength(sent.size);
  }, 240_000);
});

async function connected({ url }: SmtpSink): Promise<SMTPConnection> {
  const connection = new SMTPConnection({
    host: '127.0.0.1',
    port: Number(new URL(url).port),
    ignoreTLS: true,
  });
  connection.on('error', () => undefined);
  await new Promise<void>((resolve, reject) =>
    connection.connect((error) => (error ? reject(error) : resolve())),
  );
  return connection;
}

async function send(connection: SMTPConnection, to: string): Promise<boolean> {
  return new Promise((resolve) =>
    connection.send({ from: 'ada@example.com', to: [to] }, 'Subject: x\r\n\r\nx\r\n', (error) => {
      if (!error) resolve(true);
      else if (error.responseCode === 421) resolve(false);
      else connection.reset(() => resolve(false));
    }),
  );
}
