import { Inject, Injectable } from '@nestjs/common';
import { BroadcastGuard } from '../delivery/guards/broadcast-guard.service.js';
import { complaintHealth, sequenceHealth } from '../delivery/guards/sending-health.js';
import { SequencePauses } from '../delivery/waiting/sequence-pauses.service.js';
import { refusedFor, SENDER_REFUSED_ALERT } from '../delivery/replies/sender-refusal.js';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { UNSTORABLE_ALERT } from './bounce-intake.service.js';
import { UNNAMED_ALERT } from './hooks.service.js';
import { BouncesQueries } from './bounces.queries.js';
import { DAY_MS } from '../values/time-units.js';

const COMPLAINT_DAYS = 7;
const COMPLAINT_ALERT = 'complaints:provider:';
/** Nothing was refused because of the sender for so long: whatever was wrong is put right, or nothing is sent. The same for reports that cannot be stored. */
const QUIET_DAYS = 7;

/** The rates providers judge a sender by. */
@Injectable()
export class RatesWatch {
  constructor(
    private readonly queries: BouncesQueries,
    private readonly guard: BroadcastGuard,
    private readonly alerts: AlertsService,
    private readonly pauses: SequencePauses,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async look(): Promise<void> {
    const now = this.clock.now().getTime();
    for (const id of await this.queries.reportedBroadcasts(new Date(now - DAY_MS))) {
      await this.guard.checkAll(id);
    }
    await this.lookAtSequences(new Date(now - COMPLAINT_DAYS * DAY_MS));
    const troubled = new Set<string>();
    for (const { group, ...counts } of await this.queries.complaintsByProvider(
      new Date(now - COMPLAINT_DAYS * DAY_MS),
    )) {
      const { action, reason } = complaintHealth(counts);
      if (action === 'none' || reason === null) continue;
      troubled.add(COMPLAINT_ALERT + group);
      await this.alerts.raise({
        key: COMPLAINT_ALERT + group,
        severity: action === 'pause' ? 'critical' : 'warning',
        message: `In the last ${COMPLAINT_DAYS} days at ${group}: ${reason}`,
        facts: { group, ...counts },
      });
    }
    await this.endOld(troubled, new Date(now - QUIET_DAYS * DAY_MS));
  }

  /**
   * No event ends these: that nothing comes any more is what ends them, and that nothing is held any more, whoever decided
   * about it. The last report need not have been about a mail that is held, so the ledger is asked.
   */
  private async endOld(troubled: ReadonlySet<string>, quietSince: Date): Promise<void> {
    const held = (await this.queries.heldForSender()).map((reason) => `:${refusedFor(reason) ?? ''}`);
    for (const { key, lastSeenAt, facts } of await this.alerts.open()) {
      const over = key.startsWith(COMPLAINT_ALERT)
        ? !troubled.has(key)
        : key === UNSTORABLE_ALERT || key.startsWith(UNNAMED_ALERT)
          ? lastSeenAt < quietSince
          : key.startsWith(SENDER_REFUSED_ALERT) &&
            !held.some((end) => key.endsWith(end)) &&
            (facts['held'] === true || lastSeenAt < quietSince);
      if (over) await this.alerts.resolve(key);
    }
  }

  /** What is held for a pause that is over goes, too: a claim may have been under way when it ended. */
  private async lookAtSequences(since: Date): Promise<void> {
    await this.pauses.release();
    const paused = new Set((await this.pauses.all()).map(({ funnelKey }) => funnelKey));
    const resumptions = await this.pauses.resumptions();
    for (const funnelKey of await this.queries.reportedSequences(since)) {
      if (paused.has(funnelKey)) continue;
      const resumedAt = resumptions.get(funnelKey) ?? since;
      const tally = await this.queries.sequenceTally(funnelKey, resumedAt > since ? resumedAt : since);
      const { action, reason } = sequenceHealth(tally);
      if (action === 'none' || reason === null) {
        await this.pauses.allIsWell(funnelKey);
        continue;
      }
      if (action === 'pause') await this.pauses.pauseAndTell(funnelKey, { reason, facts: tally });
      else await this.pauses.warn(funnelKey, { reason, facts: tally });
    }
  }
}
