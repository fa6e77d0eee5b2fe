import { BouncesService } from '../../../src/bounces/bounces.service.js';
import { BounceIntake } from '../../../src/bounces/bounce-intake.service.js';
import { verpAddress } from '../../../src/delivery/mails/verp.js';
import type { PlannedMessage } from '../../../src/delivery/message/message.js';
import type { DnsResolver } from '../../../src/infra/dns.js';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import { SuppressionsService } from '../../../src/subscribers/suppressions.service.js';
import { report } from '../../support/returned-mails.js';
import { REPORTER, REPORTERS_DNS, signedByExampleOrg } from '../../support/signed-reports.js';
import { openPostOffice, SECRET, SENDER, type PostOffice } from '../delivery/post-office.js';

export const BOUNCE_DOMAIN = 'bounce.example.com';

/** What a server says about `bob@example.org`. */
export interface Said {
  status: string;
  diagnostic: string;
  action?: string;
  mta?: string;
}

export const DEAD: Said = { status: '5.1.1', diagnostic: '550 5.1.1 <bob@example.org>: User unknown' };
/** The relay of these tests, which has the same address, brings it back. */
export const FROM_RELAY = { client: '127.0.0.1', sender: '' };
export const FULL: Said = { status: '5.2.2', diagnostic: '552 5.2.2 Mailbox full' };
export const UNSIGNED: Said = { status: '5.7.26', diagnostic: '550 5.7.26 neither SPF nor DKIM passed' };
export const NO_HOST: Said = { status: '5.1.2', diagnostic: '550 5.1.2 Host unknown' };

export interface BounceOffice extends PostOffice {
  bounces: BouncesService;
  intake: BounceIntake;
  alertKeys(): Promise<string[]>;
  /** A mail the relay has accepted just now. */
  sent(email: string, change?: Partial<PlannedMessage>): Promise<string>;
  broadcast(): Promise<string>;
  /** The report comes to the return path of the mail. */
  comesBack(messageId: string, said: Said): Promise<string>;
  /** What the reader’s own provider writes and signs; `letter`: the mail as it sends it back. */
  complaint(messageId: string, type?: string, letter?: string): Promise<Buffer>;
  complains(messageId: string, type?: string): Promise<string>;
  status(email: string): Promise<string>;
  suppressed(email: string): Promise<string[]>;
}

export async function openBounceOffice(
  given: Record<string, string> = {},
  dns: DnsResolver = REPORTERS_DNS,
): Promise<BounceOffice> {
  const office = await openPostOffice({ BOUNCE_DOMAIN, ...given }, dns);
  const { app, db, clock } = office;
  const [bounces, intake, alerts, suppressions] = [
    app.get(BouncesService, { strict: false }),
    app.get(BounceIntake, { strict: false }),
    app.get(AlertsService, { strict: false }),
    app.get(SuppressionsService, { strict: false }),
  ];
  const receive = async (messageId: string, mail: string | Buffer): Promise<string> =>
    intake.receive({
      raw: Buffer.from(mail),
      envelopeTo: [verpAddress(SECRET, messageId, BOUNCE_DOMAIN)],
      source: 'smtp',
      ...FROM_RELAY,
    });
  const complaint: BounceOffice['complaint'] = async (messageId, type = 'abuse', letter = '') => {
    const mail = feedback(type, verpAddress(SECRET, messageId, BOUNCE_DOMAIN), letter);
    return signedByExampleOrg(mail, clock.now());
  };
  let sent = 0;
  return {
    ...office,
    bounces,
    intake,
    alertKeys: async () => (await alerts.open()).map(({ key }) => key),
    sent: async (email, change = {}) => {
      const rows: { id: string }[] = await db.query('select id from subscriber where email = $1', [email]);
      const id = await office.plan(email, {
        dedupeKey: `sent:${email}:${++sent}`,
        ...(rows[0] ? { subscriberId: rows[0].id } : {}),
        ...change,
      });
      await db.query(
        `update message set state = 'accepted', accepted_at = $2, settled_at = $2, lane_key = 'example.com|gmail' where id = $1`,
        [id, clock.now()],
      );
      return id;
    },
    broadcast: async () => {
      const rows: { id: string }[] = await db.query(
        `insert into broadcast (title, email_template_id, sender, state, created_at)
         values ('News', (select max(id) from email_template), $1, 'running', $2) returning id`,
        [JSON.stringify(SENDER), clock.now()],
      );
      return rows[0]?.id ?? '';
    },
    comesBack: async (messageId, { status, diagnostic, action = 'failed', mta = 'mx.example.net' }) => {
      const words = `<bob@example.org>: host mx.example.org said: ${diagnostic} (in reply to RCPT TO command)`;
      const fields = `Final-Recipient: rfc822; bob@example.org\nAction: ${action}\nStatus: ${status}\nDiagnostic-Code: smtp; ${diagnostic}`;
      return receive(messageId, report({ words, fields }).replace('dns; mx.example.net', `dns; ${mta}`));
    },
    complaint,
    complains: async (messageId, type) => receive(messageId, await complaint(messageId, type)),
    status: async (email) => {
      const rows: { status: string }[] = await db.query('select status from subscriber where email = $1', [
        email,
      ]);
      return rows[0]?.status ?? 'nobody';
    },
    suppressed: async (email) =>
      (await suppressions.of(email)).map(({ scope, reason }) => `${scope} ${reason}`),
  };
}

/** What anybody may write who was shown the mail: a complaint that quotes some headers of it. */
export const complaintQuoting = (headers: string, fields = ''): string => `From: fbl@example.net
To: fbl@${BOUNCE_DOMAIN}
Subject: FW: Hello
Content-Type: multipart/report; report-type=feedback-report; boundary="=b"

--=b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Example-FBL/1.0
Version: 1
${fields}
--=b
Content-Type: text/rfc822-headers

${headers}

--=b--
`;

function feedback(type: string, mailFrom: string, letter: string): string {
  return `From: ${REPORTER}
To: fbl@${BOUNCE_DOMAIN}
Subject: FW: Hello
Content-Type: multipart/report; report-type=feedback-report; boundary="=b"

--=b
Content-Type: message/feedback-report

Feedback-Type: ${type}
User-Agent: Example-FBL/1.0
Version: 1
Original-Mail-From: <${mailFrom}>

--=b
Content-Type: message/rfc822

Subject: Hello

${letter}
--=b--
`;
}
