import { Inject, Injectable, Logger, type BeforeApplicationShutdown } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { putSetting } from '../infra/database/settings.js';

const ALERT = 'bounces:no-intake';
/** Written by every process that takes bounces in; others of the same installation need not. */
const NOTED = 'bounces.intake';
const LOOK_EVERY_MS = 12 * 3_600_000;
/** A process that is restarted, or misses a look, must not be taken for gone; one that was taken away must be. */
const BELIEVED_MS = 48 * 3_600_000;
const NOBODY = 'BOUNCE_DOMAIN is set, and nothing takes in what comes back to it';
const REMEDY =
  'Set BOUNCE_SMTP_PORT, BOUNCE_IMAP_URL or the key of your provider’s webhooks in one of the processes, or leave BOUNCE_DOMAIN out';

/** Bounces and unsubscribe mails go to a domain of their own: somebody has to be there. Owns the setting `bounces.intake`. */
@Injectable()
export class IntakeWatch implements BeforeApplicationShutdown {
  readonly #logger = new Logger(IntakeWatch.name);
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly dataSource: DataSource,
    private readonly alerts: AlertsService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Called once in each process, of either role. */
  async start(): Promise<void> {
    await this.look();
    this.#timer = setInterval(() => void this.lookAgain(), LOOK_EVERY_MS).unref();
  }

  beforeApplicationShutdown(): void {
    clearInterval(this.#timer);
  }

  /** A worker alone may leave it to another process: one that was there in the last two days is believed. */
  async look(): Promise<void> {
    const intakes = intakesOf(this.config);
    if (intakes.length > 0) await this.note(intakes);
    if (this.config.bounceDomain === null || intakes.length > 0 || (await this.noted()) !== null)
      return this.alerts.resolve(ALERT);
    this.#logger.warn(`${NOBODY}. ${REMEDY}`);
    await this.alerts.raise({
      key: ALERT,
      severity: 'warning',
      message: `${NOBODY}, so dead addresses and people who leave by mail are not heard of. ${REMEDY}.`,
    });
  }

  private async lookAgain(): Promise<void> {
    await this.look().catch((error: unknown) => {
      this.#logger.warn(
        `who takes bounces in was not looked at: ${error instanceof Error ? error.message : String(error)}`,
      );
    });
  }

  /** For `doctor`: what there is, in words. Throws when nothing takes bounces in. */
  async inWords(): Promise<string> {
    const intakes = intakesOf(this.config);
    if (intakes.length > 0) return intakes.join(', ');
    if (this.config.bounceDomain === null)
      return 'none: bounces go to the sender’s own address (set BOUNCE_DOMAIN to have them judged)';
    const noted = await this.noted();
    if (noted === null) throw new Error(`${NOBODY}. ${REMEDY}`);
    return `not in this process; another one has ${noted}`;
  }

  private async noted(): Promise<string | null> {
    const rows: { intakes: string }[] = await this.dataSource.query(
      `select value->>'intakes' as intakes from setting where key = $1 and updated_at > $2`,
      [NOTED, new Date(this.clock.now().getTime() - BELIEVED_MS)],
    );
    return rows[0]?.intakes ?? null;
  }

  private async note(intakes: readonly string[]): Promise<void> {
    await putSetting(this.dataSource, NOTED, { intakes: intakes.join(', ') }, this.clock.now());
  }
}

/** The listener belongs to the role web, the mailbox to the worker; webhooks come by the web, too. */
function intakesOf({ roles, ...config }: Config): string[] {
  const [web, worker] = [roles.includes('web'), roles.includes('worker')];
  const hooks = [
    ['SES', config.sesTopicArn],
    ['SendGrid', config.sendgridWebhookKey],
    ['Postmark', config.postmarkWebhookSecret],
    ['Mailgun', config.mailgunWebhookKey],
  ] as const;
  return [
    ...(web && config.bounceSmtpPort !== null ? [`a listener on port ${config.bounceSmtpPort}`] : []),
    ...(worker && config.bounceImapUrl !== null ? ['a mailbox by IMAP'] : []),
    ...hooks.flatMap(([name, key]) => (web && key !== null ? [`webhooks of ${name}`] : [])),
  ];
}
