import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { BroadcastGuard } from '../delivery/guards/broadcast-guard.service.js';
import {
  complaintHealth,
  type HealthVerdict,
  type ProviderTally,
  sequenceHealth,
} from '../delivery/guards/sending-health.js';
import { SequencePauses } from '../delivery/waiting/sequence-pauses.service.js';
import { refusedFor, SENDER_REFUSED_ALERT } from '../delivery/replies/sender-refusal.js';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { UNSTORABLE_ALERT } from './bounce-intake.service.js';
import { UNNAMED_ALERT } from './hooks.service.js';
import { BouncesQueries } from './bounces.queries.js';
import {
  complainedBroadcasts,
  complaintsByGroup,
  complaintsByReceiver,
  type ProviderComplaints,
} from './complaints.queries.js';
import { restAfter } from './rates-rest.js';
import { tallySequence } from './sequence-tally.queries.js';
import { DAY_MS } from '../values/time-units.js';

const COMPLAINT_DAYS = 7;
/** A provider judges each day, and a bad one is a seventh of a week. */
const SPANS = [
  { days: 1, words: 'in the last 24 hours' },
  { days: COMPLAINT_DAYS, words: `in the last ${COMPLAINT_DAYS} days` },
] as const;
const COMPLAINT_ALERT = 'complaints:provider:';
/** Nothing was refused because of the sender for so long: whatever was wrong is put right, or nothing is sent. The same for reports that cannot be stored. */
const QUIET_DAYS = 7;

interface ProviderVerdict {
  action: HealthVerdict['action'];
  reason: string;
  tally: ProviderTally;
}

/** The rates providers judge a sender by. */
@Injectable()
export class RatesWatch {
  /** What was found of small receivers, for each span, until they are looked at anew. */
  #receivers: { found: ProviderComplaints[][]; untilMs: number } | null = null;

  constructor(
    private readonly dataSource: DataSource,
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
    const troubled = await this.lookAtProviders(now);
    await this.endOld(troubled, new Date(now - QUIET_DAYS * DAY_MS));
  }

  /**
   * Where a provider has had too many complaints, one more is too many: each broadcast under way that has brought one there is
   * paused, and none that nobody complained about. Once the owner has let it go on after that it is judged by itself as to
   * this provider, or each later complaint would stop it for days. So are sequences, whose mails are few at a time, and whose pause would keep people for
   * weeks for the sake of one reader. Answers the keys of what is told.
   */
  private async lookAtProviders(now: number): Promise<ReadonlySet<string>> {
    const verdicts = new Map<string, ProviderVerdict>();
    const spans = SPANS.map(({ days, words }) => ({ words, since: new Date(now - days * DAY_MS) }));
    const receivers = await this.receiversComplaints(spans.map(({ since }) => since));
    for (const [span, { since, words }] of spans.entries()) {
      const groups = await complaintsByGroup(this.dataSource.manager, since);
      for (const { provider, tally } of [...groups, ...(receivers[span] ?? [])]) {
        const found = complaintHealth(tally);
        if (found.reason === null) continue;
        const verdict = { action: found.action, reason: `${found.reason} ${words}`, tally };
        const { group } = tally;
        if (verdict.action === 'pause')
          for (const id of await complainedBroadcasts(this.dataSource.manager, provider, since))
            await this.guard.stop(id, verdict);
        if (verdicts.get(group)?.action !== 'pause') verdicts.set(group, verdict);
      }
    }
    for (const [group, { action, reason, tally }] of verdicts)
      await this.alerts.raise({
        key: COMPLAINT_ALERT + group,
        severity: action === 'pause' ? 'critical' : 'warning',
        message: reason,
        facts: { ...tally },
      });
    return new Set([...verdicts.keys()].map((group) => COMPLAINT_ALERT + group));
  }

  private async receiversComplaints(sinces: readonly Date[]): Promise<ProviderComplaints[][]> {
    const beganMs = performance.now();
    if (this.#receivers !== null && beganMs < this.#receivers.untilMs) return this.#receivers.found;
    const found = await complaintsByReceiver(this.dataSource.manager, sinces);
    const endedMs = performance.now();
    this.#receivers = { found, untilMs: endedMs + restAfter(endedMs - beganMs) };
    return found;
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

  private async lookAtSequences(since: Date): Promise<void> {
    const paused = new Set((await this.pauses.all()).map(({ funnelKey }) => funnelKey));
    const judgements = await this.pauses.judgements();
    for (const funnelKey of await this.queries.reportedSequences(since)) {
      if (paused.has(funnelKey)) continue;
      const judgedAt = judgements.get(funnelKey) ?? null;
      const tally = await tallySequence(this.dataSource.manager, funnelKey, { since, judgedAt });
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
