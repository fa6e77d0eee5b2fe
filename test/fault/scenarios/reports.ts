import { BounceIntake } from '../../../src/bounces/bounce-intake.service.js';
import { verpAddress } from '../../../src/delivery/mails/verp.js';
import { report } from '../../support/returned-mails.js';
import { comesTrue } from '../patience.js';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';

const BOUNCE_DOMAIN = 'bounce.example.com';
const DIAGNOSTIC = '550 5.1.1 <bob@example.org>: User unknown';
const BOUNCED: ReadonlySet<number> = new Set([3, 12, 45, 46, 130]);
/** The first is about a receipt, which would be sent once more, the last about a bulk mail. */
const KILLED: ReadonlySet<number> = new Set([3, 130]);
/** Behind this one all wait for the first kill, so that there is something left for the second on a fast machine, too. */
const WAITS_BEHIND = 60;

/** What comes back about a mail, in the worst moments. */
export const reportScenarios: readonly Scenario[] = [
  {
    name: 'bounces that arrive before the 250, two of them with kill -9',
    covers: 'F38',
    short: true,
    mails: 200,
    run: async (world) => {
      const bounced: string[] = [];
      await bounceBeforeReply(world, bounced);
      const rows = await world.sql<{ state: string; status: string }>(
        `select m.state, s.status from message m join subscriber s on s.id = m.subscriber_id
         where m.message_id_header = any($1)`,
        [bounced],
      );
      return [
        ...expectThat(bounced.length === BOUNCED.size, `${bounced.length} of ${BOUNCED.size} mails bounced`),
        ...expectThat(
          rows.every(({ state }) => state === 'accepted'),
          `mails that bounced, so were taken, are ${rows.map(({ state }) => state).join(', ')}`,
        ),
        ...expectThat(
          rows.every(({ status }) => status === 'bounced'),
          `people whose address is dead are ${rows.map(({ status }) => status).join(', ')}`,
        ),
      ];
    },
  },
];

async function bounceBeforeReply(world: World, bounced: string[]): Promise<void> {
  const env = { BOUNCE_DOMAIN };
  let goOn = (): void => undefined;
  const firstKill = new Promise<void>((resolve) => (goOn = resolve));
  await world.inProduct(async ({ app, config }) => {
    const intake = app.get(BounceIntake, { strict: false });
    world.sink.onStage = async ({ stage, hit, text: messageId }) => {
      if (stage !== 'dot') return;
      if (hit > WAITS_BEHIND) await firstKill;
      if (!BOUNCED.has(hit)) return;
      bounced.push(messageId);
      const [row] = await world.sql<{ id: string }>('select id from message where message_id_header = $1', [
        messageId,
      ]);
      await intake.receive({
        raw: deadAddress(),
        envelopeTo: [verpAddress(config.secretKey, row?.id ?? '', BOUNCE_DOMAIN)],
        source: 'smtp',
        client: '127.0.0.1',
        sender: '',
      });
      if (!KILLED.has(hit)) return;
      await world.killAll();
      goOn();
    };
    for (let n = 0; n < KILLED.size; n++) {
      const [worker] = await world.start(1, { env });
      await (n === 0 ? world.release() : world.hurry());
      await worker?.exited;
      await world.ageLeases();
    }
    await world.start(1, { env });
    await world.finish();
    // Evidence is looked for after each reaping.
    await comesTrue(async () => {
      await world.wake('delivery.reap');
      const open = `select 1 from message where state = 'unknown' and message_id_header = any($1)`;
      return (await world.sql(open, [bounced])).length === 0;
    });
  }, env);
}

function deadAddress(): Buffer {
  return Buffer.from(
    report({
      words: `<bob@example.org>: host mx.example.org said: ${DIAGNOSTIC} (in reply to RCPT TO command)`,
      fields: `Final-Recipient: rfc822; bob@example.org\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; ${DIAGNOSTIC}`,
    }),
  );
}
